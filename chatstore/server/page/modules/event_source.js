// A feed as server-sent events, for where WebSockets do not get through. Each takes one of the six connections that a browser
// has for all the tabs of one server.

import { EventParser } from './event_stream.js'

// One connection, to its end: true if the feed is over. `told` is {opened(), heard(), take(messages)}; a message is
// {cursor, told}, `told` being null where only a sign of life came.
export async function listenToEvents(api, path, { query, cursor, signal, told }) {
  const headers = { accept: 'text/event-stream', ...(cursor && { 'last-event-id': cursor }) }
  const url = api.address(path, { ...query, after: cursor ?? 'now' })
  const response = await api.open(url, { headers, signal })
  if (response.status === 204) return true
  told.opened()
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
  const parser = new EventParser()
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return false
    told.heard()
    told.take(parser.push(value).map(message))
  }
}

function message({ id, event, data }) {
  if (data === '') return { cursor: id, told: null }
  const told = JSON.parse(data)
  return { cursor: id, told: event === 'problem' ? { change: 'problem', ...told } : told }
}
