// eventsource follows a feed until the server says that nothing comes any more: node event_source.mjs URL. Prints the
// events, and how often it connected.
import { EventSource } from "eventsource";

const [url] = process.argv.slice(2);
const NAMES = ["block_added", "block_updated", "text_appended", "block_closed", "run_started", "run_ended"];
const events = [];
let opened = 0;
const source = new EventSource(url);
source.onopen = () => (opened += 1);
for (const name of NAMES) {
  source.addEventListener(name, (event) => events.push({ name, id: event.lastEventId, change: JSON.parse(event.data) }));
}
setInterval(() => {}, 1000); // its timer to reconnect keeps no process alive
await new Promise((resolve) => {
  source.onerror = () => {
    if (source.readyState === EventSource.CLOSED) resolve();
  };
});
process.stdout.write(JSON.stringify({ events, opened }), () => process.exit(0));
