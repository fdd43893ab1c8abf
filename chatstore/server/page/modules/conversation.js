// One conversation: what of it is loaded, and what comes. Knows nothing of the document.

import { contextPath } from './api.js'
import { grown, merged, received, shows } from './blocks.js'
import { Feed } from './feed.js'
import { persistently } from './retry.js'
import { Runs } from './runs.js'
import { Span } from './span.js'

const FIRST_PAGE = 200
const PAGE = 400
const AROUND = 100

// `told` is called with what happened:
//   {type, …}: "reset", "prepended", "appended", "added", "changed" of blocks, "behind" of one that came where the end is
//   not loaded, "run", "loading", "state", "gone", "failed", "missing" of a block that a link names.
export class Conversation {
  constructor(api, contextId, { kind, told, presence }) {
    this._api = api
    this._presence = presence
    this.contextId = contextId
    this.kind = kind
    this.span = new Span()
    this.runs = new Runs()
    this.loaded = false
    this._told = told
    this._closing = new AbortController()
    this._loads = 0
    this._generation = 0
    this._moves = 0
    this._waiting = []
    this._feed = null
  }

  // Loads the end, or what is around a block, and follows. The position to follow from is read first: what comes
  // between is told again, and taking it twice changes nothing.
  async open(blockId = null) {
    this._feed?.close()
    await this._loading(async () => {
      const { head } = await this._get('/head')
      this._follow(head)
      await Promise.all([this._loadRuns(), this._around(blockId)])
      this.loaded = true
    })
  }

  // Whether what is loaded is about to be replaced, as where another kind is to be shown.
  get moves() {
    return this._moves > 0
  }

  // What is shown stays where the place is none, unless it was to be replaced anyway.
  async goTo(place) {
    const instead = this.loaded && !this.moves ? 'nothing' : 'end'
    await this._loading(() => this._around(place, { instead }))
  }

  async show(kind, blockId = null) {
    this.kind = kind
    await this._loading(() => this._around(blockId))
  }

  async loadOlder() {
    const { span } = this
    if (this._loads > 0 || !span.older || !span.first) return
    await this._loading(async (isCurrent) => {
      const blocks = await this._page({ before: span.first.cursor, last: PAGE })
      if (isCurrent()) this._tell('prepended', { blocks: span.prepend(blocks, blocks.length >= PAGE) })
    })
  }

  async loadNewer() {
    const { span } = this
    if (this._loads > 0 || !span.newer || !span.last) return
    await this._loading(async (isCurrent) => {
      const blocks = await this._page({ after: span.last.cursor, limit: PAGE })
      if (isCurrent()) this._tell('appended', { blocks: span.append(blocks, blocks.length >= PAGE) })
    })
  }

  close() {
    this._closing.abort(new DOMException('closed', 'AbortError'))
    this._feed?.close()
  }

  async cancel(run) {
    this._takeRun(await this._api.post(contextPath(this.contextId, `/runs/${run.id}/cancel`), {}))
  }

  // Changes wait until what is being loaded has come: it was read before them, and would put them back.
  async _loading(load) {
    const generation = this._generation
    this._loads++
    this._tell('loading', { loading: true })
    try {
      await load(() => generation === this._generation)
    } catch (error) {
      if (error.name !== 'AbortError') this._tell('failed', { error })
    } finally {
      if (--this._loads === 0) this._catchUp()
      this._tell('loading', { loading: this._loads > 0 })
    }
  }

  async _around(place, { instead = 'end' } = {}) {
    const generation = ++this._generation
    this._moves++
    try {
      const found = await this._stretch(place)
      if (generation !== this._generation) return
      this.span.reset(found.blocks, found)
      this._tell('reset', { place })
    } catch (error) {
      if (!isMissing(error, place) || generation !== this._generation) throw error
      if (instead === 'end') await this._around(null)
      this._tell('missing', { place })
    } finally {
      this._moves--
    }
  }

  async _stretch(place) {
    if (place === null) {
      const blocks = await this._page({ last: FIRST_PAGE })
      return { blocks, older: blocks.length >= FIRST_PAGE, newer: false }
    }
    if (place === 'start') {
      const blocks = await this._page({ limit: FIRST_PAGE })
      return { blocks, older: false, newer: blocks.length >= FIRST_PAGE }
    }
    const block = received(await this._get(`/blocks/${encodeURIComponent(place)}`))
    const before = await this._page({ before: block.cursor, last: AROUND })
    const behind = await this._page({ after: block.cursor, limit: AROUND })
    const itself = shows(this.kind, block) ? [block] : []
    return {
      blocks: [...before, ...itself, ...behind],
      older: before.length >= AROUND,
      newer: behind.length >= AROUND,
    }
  }

  async _page(range) {
    const { messages } = await this._get('/messages', { kind: this.kind, ...range })
    return messages.map(received)
  }

  async _loadRuns() {
    const { runs } = await this._get('/runs')
    this.runs.reset(runs)
    this._tell('run', {})
  }

  _get(rest, query) {
    const { signal } = this._closing
    const failed = () => this._tell('state', { state: 'reconnecting' })
    return persistently(() => this._api.get(contextPath(this.contextId, rest), query, signal), { signal, failed })
  }

  _follow(after) {
    this._feed = new Feed(this._api, contextPath(this.contextId, '/events'), {
      after,
      presence: this._presence,
      changes: (changes) => this._take(changes),
      state: (state) => this._tell('state', { state }),
      lost: () => this.open(),
    }).start()
  }

  _take(changes) {
    this._waiting.push(...changes)
    if (this._loads === 0) this._catchUp()
  }

  _catchUp() {
    const changes = this._waiting
    this._waiting = []
    for (const [at, change] of changes.entries()) {
      this._apply(change)
      if (this._loads === 0) continue
      this._waiting = [...changes.slice(at + 1), ...this._waiting]
      return
    }
  }

  _apply(change) {
    if (change.block) this._put(merged(this.span.get(change.block.id), change.block), change.change)
    else if (change.change === 'text_appended') this._grow(change)
    else if (change.run) this._takeRun(change.run)
    else if (change.change === 'history_erased') this._tell('gone', {})
  }

  _put(block, change) {
    if (!shows(this.kind, block)) return
    const known = this.span.get(block.id)
    if (known === block) return
    const came = this.span.put(block)
    if (came !== 'outside') this._tell(came, { block, ended: change === 'block_closed' })
    else if (!known) this._tell('behind', {})
  }

  _grow(change) {
    const known = this.span.get(change.block_id)
    if (!known) return
    const block = grown(known, change)
    if (block === null) this._reload(change.block_id)
    else if (block !== known) this._put(block, change.change)
  }

  async _reload(blockId) {
    await this._loading(async () => {
      const block = await this._get(`/blocks/${encodeURIComponent(blockId)}`)
      this._put(merged(null, block), 'block_updated')
    })
  }

  _takeRun(run) {
    this.runs.put(run)
    this._tell('run', { run })
  }

  _tell(type, what) {
    if (!this._closing.signal.aborted) this._told({ type, ...what })
  }
}

// Whether a block is not there, or is named by what is no id.
function isMissing(error, place) {
  return place !== null && place !== 'start' && (error.status === 404 || error.status === 422)
}
