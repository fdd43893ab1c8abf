// Follows the changes of a conversation or of the whole store, from a cursor on, through every cut until it is closed.

import { ApiError } from './api.js'
import { Backoff } from './backoff.js'
import { listenToEvents } from './event_source.js'
import { pauseFor } from './retry.js'
import { listenToSocket } from './socket.js'
import { TICK, Watchdog } from './watchdog.js'

const LOST = new Set(['cursor_expired', 'invalid_cursor'])
const STALE = 600_000
const IN_VAIN = 2 // a server that starts just then may refuse the socket and answer the question

// `changes(list)` is told of changes in order; `state(name)` of "connecting", "live", "reconnecting", "paused" and "over";
// `lost()` that the cursor is of no use, and everything has to be read anew. `store`: the feed is that of the whole store,
// where after a cut changes since the last heartbeat are told once more; that of a conversation tells each once, and ends
// when it is erased.
export class Feed {
  constructor(api, path, { after, changes, state, lost, store = false, query = {}, presence = null }) {
    this._api = api
    this._path = path
    this.cursor = after
    this._told = { changes, state, lost }
    this._store = store
    this._query = query
    this._presence = presence
    this._backoff = new Backoff()
    this._closing = new AbortController()
    this._connection = null
    this._paused = null
    this._socketsFailed = 0
    this._seen = false
  }

  start() {
    this._ticking = setInterval(() => this._tick(), TICK)
    this._presence?.join(this)
    this._follow().catch((error) => {
      console.error(error) // a mistake of the page itself: what a server or a network does is met in _listen
      this._end()
    })
    return this
  }

  close() {
    this._presence?.leave(this)
    clearInterval(this._ticking)
    this._closing.abort()
    this._connection?.abort()
    this._paused?.resume()
  }

  // Gives the connection back while nobody looks.
  pause() {
    if (this._paused || this._closing.signal.aborted) return
    const waiting = Promise.withResolvers?.() ?? withResolvers()
    this._paused = { until: waiting.promise, resume: waiting.resolve }
    this._connection?.abort()
  }

  resume() {
    this._paused?.resume()
    this._paused = null
  }

  // Drops a connection that may be dead, or a wait for the next attempt, and connects at once.
  reconnect() {
    this._backoff.reset()
    this._connection?.abort()
  }

  async _follow() {
    this._told.state('connecting')
    while (!this._closing.signal.aborted) {
      await this._waitWhilePaused()
      if (this._closing.signal.aborted) return
      this._connection = new AbortController()
      const over = await this._listen(this._connection.signal).catch((error) => this._failed(error))
      if (over) return this._end()
      if (this._closing.signal.aborted || this._paused) continue
      this._told.state('reconnecting')
      await this._rest()
    }
  }

  async _waitWhilePaused() {
    if (!this._paused) return
    this._told.state('paused')
    await this._paused.until
    this._backoff.reset()
    if (!this._closing.signal.aborted) this._told.state(this._seen ? 'reconnecting' : 'connecting')
  }

  // A cut by hand (asleep, silent, back on the network) is followed by an attempt at once.
  async _rest() {
    if (this._connection.signal.aborted) return
    this._connection = new AbortController()
    await pauseFor(this._backoff.next(), this._connection.signal).catch(() => {})
  }

  // One connection, to its end. True if the feed is over.
  async _listen(signal) {
    if (this._isStale()) return this._lose()
    this._watchdog = new Watchdog(Date.now())
    this._signs = 0
    const told = { opened: () => this._opened(), heard: () => this._heard(), take: (messages) => this._take(messages) }
    const given = { query: this._query, cursor: this.cursor, signal, told, ownCursors: !this._store }
    if (this._socketsFailed >= IN_VAIN) {
      this._socketsFailed = 0
      return (await listenToEvents(this._api, this._path, given)) || this._over
    }
    const { opened } = await listenToSocket(this._api, this._path, given)
    this._socketsFailed = opened ? 0 : this._socketsFailed
    if (!opened) await this._ask(signal)
    return this._over
  }

  // Why there was no socket: refused, or nothing there, which is thrown; or else WebSockets may not get through here.
  async _ask(signal) {
    await this._api.get(this._path, { ...this._query, after: this.cursor ?? 'now', wait: 0, limit: 1 }, signal)
    this._socketsFailed++
  }

  _opened() {
    this._seen = true
    this._watchdog.heard(Date.now())
    this._told.state('live')
  }

  // The first sign comes with the opening, and says nothing of how long it will last.
  _heard() {
    this._lastHeard = Date.now()
    this._watchdog.heard(this._lastHeard)
    if (this._signs++ > 0) this._backoff.reset()
  }

  _take(messages) {
    const told = messages.map((message) => message.told).filter(Boolean)
    const changes = told.filter((one) => one.change !== 'problem')
    if (changes.length > 0) this._told.changes(changes)
    this._keep(messages.findLast(({ cursor }) => cursor)?.cursor)
    this._over ||= !this._store && changes.some((one) => one.change === 'history_erased')
    const problem = told.find((one) => one.change === 'problem')
    if (problem) throw new ApiError(problem.status, problem)
  }

  _keep(cursor) {
    if (!cursor) return
    this.cursor = cursor
    this._kept = Date.now()
  }

  // Heartbeats come where nothing happens. Behind one long ago, of a busy store, is more than there is to read anew.
  _isStale() {
    return this._store && this._lastHeard - this._kept > STALE
  }

  _lose() {
    this._told.lost()
    return true
  }

  _failed(error) {
    if (error.name !== 'AbortError') console.info(`${this._path}: ${error.message}`)
    if (!(error instanceof ApiError)) return false
    if (LOST.has(error.code)) return this._lose()
    return error.status < 500 && error.status !== 429 && error.status !== 408
  }

  _tick() {
    if (this._watchdog?.tick(Date.now())) this.reconnect()
  }

  _end() {
    this.close()
    this._told.state('over')
  }
}

function withResolvers() {
  const made = {}
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }))
  return made
}
