// @tanstack/ai-client reads a thread or joins a run: node tanstack.mjs URL [RUN]. It resumes by itself where it is cut off.
import { StreamProcessor, fetchServerSentEvents } from "@tanstack/ai-client";

const [url, run] = process.argv.slice(2);
const warnings = [];
console.warn = console.error = (...said) => warnings.push(said.map(String).join(" "));
let requests = 0;
const fetchClient = (...given) => ((requests += 1), fetch(...given));
const connection = fetchServerSentEvents(url, { fetchClient, reconnect: { initialDelayMs: 1, maxDelayMs: 5, maxAttempts: 50 } });
const processor = new StreamProcessor();
const types = [];
let error = null;
try {
  const chunks = run ? connection.joinRun(run) : connection.connect([], {}, undefined, { threadId: "t", runId: "r" });
  for await (const chunk of chunks) {
    types.push(chunk.type);
    processor.processChunk(chunk);
  }
} catch (raised) {
  error = String(raised);
}
process.stdout.write(JSON.stringify({ messages: processor.getMessages(), types, requests, warnings, error }));
