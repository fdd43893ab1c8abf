// The Vercel AI SDK resumes a chat: node ai_sdk.mjs 6|7 STREAM [MESSAGES]. Prints the message, or null where none is active.
const [version, url, loaded] = process.argv.slice(2);
const { DefaultChatTransport, readUIMessageStream, safeValidateUIMessages } = await import(`ai${version}`);
const warnings = [];
console.warn = console.error = (...said) => warnings.push(said.map(String).join(" "));
const transport = new DefaultChatTransport({ prepareReconnectToStreamRequest: () => ({ api: url }) });
const stream = await transport.reconnectToStream({ chatId: "c" });
const errors = [];
let message = null;
if (stream !== null) {
  for await (const next of readUIMessageStream({ stream, onError: (raised) => errors.push(String(raised)) })) message = next;
}
let history = null;
if (loaded) {
  const messages = await (await fetch(loaded)).json();
  const valid = await safeValidateUIMessages({ messages });
  history = { messages, valid: valid.success, error: valid.success ? null : String(valid.error) };
}
process.stdout.write(JSON.stringify({ message, errors, history, warnings }));
