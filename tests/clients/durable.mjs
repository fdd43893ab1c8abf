// @durable-streams/client and /state read a stream: node durable.mjs URL false|sse [OFFSET]. Prints what it came to.
import { stream } from "@durable-streams/client";
import { MaterializedState, isChangeEvent } from "@durable-streams/state";

const [url, live, offset = "-1"] = process.argv.slice(2);
const response = await stream({ url, offset, live: live === "false" ? false : live, json: true, warnOnHttp: false });
const items = [];
if (live === "false") {
  items.push(...(await response.json()));
} else {
  await new Promise((resolve) => {
    response.subscribeJson(async (batch) => {
      items.push(...batch.items);
      if (batch.streamClosed) resolve();
    });
  });
}
const state = new MaterializedState();
items.filter(isChangeEvent).forEach((item) => state.apply(item));
const types = Object.fromEntries(state.types.map((type) => [type, Object.fromEntries(state.getType(type))]));
const { upToDate, streamClosed } = response;
process.stdout.write(JSON.stringify({ types, items, offset: response.offset, upToDate, streamClosed }), () => process.exit(0));
