// Following a feed, against a server that says what a test has it say.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { Api } from '../../chatstore/server/page/modules/api.js'
import { Feed } from '../../chatstore/server/page/modules/feed.js'

const PIECE = (cursor, offset) => ({ change: 'text_appended', cursor, offset })
const BEAT = (cursor) => ({ change: 'heartbeat', cursor })
const EVENT = (id, offset) => `id: ${id}\nevent: text_appended\ndata: {"change":"text_appended","offset":${offset}}\n\n`
const FOUND = () => Response.json({ changes: [], cursor: null, more: false })

// A socket that says so much, and is closed; or is refused.
class Socket {
  constructor(messages) {
    queueMicrotask(() => this._say(messages))
  }

  close() {}

  _say(messages) {
    if (messages) this.onopen?.()
    for (const one of messages ?? []) this.onmessage?.({ data: JSON.stringify(one) })
    this.onclose?.({})
  }
}

function stream(...pieces) {
  return () => new Response(new Blob(pieces).stream(), { headers: { 'content-type': 'text/event-stream' } })
}

function problem(status, code) {
  return () => Response.json({ status, code, detail: code }, { status })
}

// Follows until the server has given all its answers; what was asked for and told. An answer is what a socket says, or
// a response to a request, before which no socket came to be.
function followed(answers, { after = 'c0', ...options } = {}, made = null) {
  return new Promise((resolve) => {
    const seen = { cursors: [], texts: [], offsets: [], states: [], lost: 0, refused: 0, asked: 0, schemes: new Set() }
    const rest = [...answers]
    const ask = (url, cursor) => {
      seen.cursors.push(cursor ?? url.searchParams.get('after'))
      seen.texts.push(url.searchParams.get('text'))
    }
    const socket = (url) => {
      ask(url)
      seen.schemes.add(url.protocol)
      return new Socket(Array.isArray(rest[0]) ? rest.shift() : null)
    }
    const fetch = async (url, { headers }) => {
      if (url.searchParams.has('wait')) seen.asked++
      else ask(url, headers['last-event-id'])
      return (rest.shift() ?? problem(404, 'not_found'))()
    }
    const api = new Api({ fetch, socket: made ?? socket, base: 'http://chatstore.test/', refused: () => seen.refused++ })
    const feed = new Feed(api, 'events', {
      after,
      ...options,
      changes: (changes) => seen.offsets.push(...changes.map((change) => change.offset)),
      lost: () => seen.lost++,
      state: (state) => {
        seen.states.push(state)
        if (state === 'over') resolve({ ...seen, cursor: feed.cursor })
      },
    })
    feed.start()
  })
}

test('a feed that is cut goes on behind the last change that came', async () => {
  const seen = await followed([[BEAT('c0'), PIECE('c1', 0)], [BEAT('c1'), PIECE('c2', 1), PIECE('c3', 2)]])
  assert.deepEqual(seen.offsets, [0, 1, 2])
  assert.deepEqual(seen.cursors, ['c0', 'c1', 'c3'])
  assert.deepEqual(seen.states, ['connecting', 'live', 'reconnecting', 'live', 'reconnecting', 'over'])
  assert.deepEqual([...seen.schemes], ['ws:'])
})

test('the feed of a store goes on behind the last heartbeat, for its changes have cursors of their contexts', async () => {
  const answers = [[BEAT('s5'), PIECE('c1', 0)], [BEAT('s5'), PIECE('c1', 0)]]
  const seen = await followed(answers, { after: null, store: true, query: { text: 'false' } })
  assert.deepEqual(seen.cursors, ['now', 's5', 's5'])
  assert.deepEqual(seen.texts, ['false', 'false', 'false'])
  assert.deepEqual(seen.offsets, [0, 0])
})

test('a server that is away or busy is asked again', async () => {
  const away = () => Promise.reject(new TypeError('fetch failed'))
  const seen = await followed([away, problem(503, 'store_busy'), problem(429, 'too_many_requests'), [PIECE('c1', 0)]])
  assert.deepEqual(seen.offsets, [0])
})

test('where no WebSocket gets through, the feed comes as server-sent events', async () => {
  const cut = EVENT('c2', 1)
  const seen = await followed([
    ...[FOUND, FOUND, stream('retry: 1\nid: c0\nevent: heartbeat\ndata:\n\n', EVENT('c1', 0), cut.slice(0, -1))],
    ...[FOUND, FOUND, stream(cut, EVENT('c3', 2))],
  ])
  assert.deepEqual(seen.offsets, [0, 1, 2])
  assert.deepEqual(seen.cursors, ['c0', 'c0', 'c0', 'c1', 'c1', 'c1', 'c3'])
})

test('where a browser makes no WebSocket at all, it is the same', async () => {
  const none = () => {
    throw new DOMException('not of this page', 'SecurityError')
  }
  const seen = await followed([FOUND, FOUND, stream(EVENT('c1', 0))], {}, none)
  assert.deepEqual(seen.offsets, [0])
})

test('a cursor that is of no use is told, also in the middle of a feed', async () => {
  const inside = { change: 'problem', status: 410, code: 'cursor_expired' }
  const event = `event: problem\ndata: {"status":410,"code":"cursor_expired"}\n\n`
  const streamed = [FOUND, FOUND, stream(EVENT('c1', 0), event)]
  for (const answers of [[problem(410, 'cursor_expired')], [problem(422, 'invalid_cursor')], [[PIECE('c1', 0), inside]], streamed]) {
    const seen = await followed(answers)
    assert.equal(seen.lost, 1)
    assert.equal(seen.states.at(-1), 'over')
  }
})

test('an erased conversation ends its feed, and not that of the store', async () => {
  const erased = { change: 'history_erased', cursor: 'c9', offset: 'erased' }
  assert.deepEqual((await followed([[erased], [PIECE('c1', 0)]])).offsets, ['erased'])
  assert.deepEqual((await followed([[erased], [PIECE('c1', 0)]], { store: true })).offsets, ['erased', 0])
})

test('a token that is refused ends the feed', async () => {
  const seen = await followed([problem(401, 'unauthorized'), [PIECE('c1', 0)]])
  assert.equal(seen.refused, 1)
  assert.deepEqual(seen.offsets, [])
})
