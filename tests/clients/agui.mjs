// @ag-ui/client reads a thread: node agui.mjs URL THREAD [GET]. Prints what it made of it, and what it complained of.
import { HttpAgent } from "@ag-ui/client";
import { EventSchemas } from "@ag-ui/core/schemas";
import { tap } from "rxjs/operators";

const [url, threadId, method] = process.argv.slice(2);
const warnings = [];
console.warn = console.error = (...said) => warnings.push(said.map(String).join(" "));
const types = [];
const invalid = [];

class Attached extends HttpAgent {
  requestInit(input) {
    const init = super.requestInit(input);
    return method === "GET" ? { ...init, method, body: undefined } : init;
  }

  run(input) {
    return super.run(input).pipe(
      tap((event) => {
        types.push(event.type);
        if (!EventSchemas.safeParse(event).success) invalid.push(event);
      }),
    );
  }
}

const agent = new Attached({ url, threadId });
const outcomes = [];
let error = null;
try {
  await agent.runAgent({ runId: "attached" }, {
    onRunFinishedEvent: ({ outcome }) => void outcomes.push(outcome),
    onRunErrorEvent: ({ event }) => void outcomes.push(`error ${event.code}`),
  });
} catch (raised) {
  error = String(raised);
}
process.stdout.write(JSON.stringify({ messages: agent.messages, outcomes, types, invalid, warnings, error }));
