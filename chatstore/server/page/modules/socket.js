// A feed as a WebSocket, which does not count against the six connections that a browser has for a server: many tabs are live.

const CLOSED = new DOMException('given up', 'AbortError')

// One connection, to its end: {opened}, whether it came to be at all. Why not, a browser does not say. `told` is
// {opened(), heard(), take(messages)}; a message is {cursor, told}, `told` being null where only a sign of life came.
export async function listenToSocket(api, path, { query, cursor, ...given }) {
  try {
    return await listen(api.socket(path, { ...query, after: cursor ?? 'now' }), given)
  } catch (error) {
    if (error.name === 'SecurityError') return { opened: false } // to some browsers the page's own sockets are foreign
    throw error
  }
}

function listen(socket, { signal, told, ownCursors }) {
  return new Promise((resolve, reject) => {
    let opened = false
    const end = (settle, given) => {
      signal.removeEventListener('abort', stop)
      socket.onopen = socket.onmessage = socket.onclose = socket.onerror = null
      socket.close()
      settle(given)
    }
    const stop = () => end(reject, CLOSED)
    signal.addEventListener('abort', stop)
    socket.onopen = () => {
      opened = true
      told.opened()
    }
    socket.onmessage = ({ data }) => {
      told.heard()
      try {
        told.take([message(JSON.parse(data), ownCursors)])
      } catch (error) {
        end(reject, error)
      }
    }
    socket.onclose = () => end(resolve, { opened })
    if (signal.aborted) stop()
  })
}

// The changes of a store carry the cursors of their own contexts: only heartbeats say where the feed is.
function message(given, ownCursors) {
  if (given.change === 'heartbeat') return { cursor: given.cursor, told: null }
  return { cursor: ownCursors ? given.cursor : null, told: given }
}
