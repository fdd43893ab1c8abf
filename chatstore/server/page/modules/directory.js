// Keeps the list of conversations up to date: pages from the server, and what its feed tells.

import { contextPath } from './api.js'
import { Contexts, Filter } from './contexts.js'
import { Feed } from './feed.js'
import { persistently } from './retry.js'
import { Search } from './search.js'

const PAGE = 100
const SEARCHED = 1000
const PREVIEWS_AT_ONCE = 2

// `told` is called after anything changed; `state` with the state of the connection.
export class Directory {
  constructor(api, presence, { told, state }) {
    this._api = api
    this._presence = presence
    this._told = told
    this._state = state
    this._closing = new AbortController()
    this.contexts = new Contexts()
    this.filter = new Filter('')
    this._next = { '': undefined }
    this._loading = false
    this._wanted = []
    this._previews = 0
    this._asking = new Set()
    this.refused = null
    this.search = new Search(this.contexts, {
      list: (after, signal) => this._list(after, signal),
      read: (id, range, signal) => this._texts(id, range, signal),
      told,
    })
    this.feed = this._follow()
  }

  // Whether the server may have more that the filter leaves. Words it does not know: those are searched for.
  get more() {
    if (!this.filter.isEmpty && this.filter.keys.length === 0) return false
    return this._next[this._query()] !== null
  }

  list() {
    return this.contexts.list(this.filter)
  }

  setFilter(typed) {
    this.filter = new Filter(typed)
    this.search.start(this.filter)
    this._told()
  }

  async loadMore() {
    const query = this._query()
    if (this._loading || this._next[query] === null) return
    this._loading = true
    try {
      await this._page(query, this._next[query])
    } catch (error) {
      this._failed(error, query)
    } finally {
      this._loading = false
      this._told()
    }
  }

  // Asks for what was last said in a conversation that is in view.
  wantPreview(id) {
    const known = this.contexts.get(id)
    if (!known || known.preview !== null || known.asked) return
    known.asked = true
    this._wanted.push(id)
    this._askPreviews()
  }

  async refresh(id) {
    if (this._asking.has(id)) return
    this._asking.add(id)
    try {
      this.contexts.put(await this._get(contextPath(id)))
    } catch (error) {
      if (error.status === 404 || error.status === 410) this.contexts.remove(id)
    } finally {
      this._asking.delete(id)
      this._told()
    }
  }

  _query() {
    return this.filter.keys.toSorted().join('\n')
  }

  async _page(query, after) {
    const given = { newest: 'true', limit: PAGE, after, key: query ? query.split('\n') : [] }
    const { contexts, next } = await this._get('contexts', given)
    for (const context of contexts) this.contexts.put(context)
    this._next[query] = next
  }

  // The whole list, for a search.
  async _list(after, signal) {
    const { contexts, next } = await this._get('contexts', { newest: 'true', limit: SEARCHED, after }, signal)
    for (const context of contexts) this.contexts.put(context)
    return next
  }

  // One that was erased meanwhile says nothing.
  async _texts(id, range, signal) {
    try {
      return await this._get(contextPath(id, '/messages'), { kind: 'trace', ...range }, signal)
    } catch (error) {
      if (error.status === 404 || error.status === 410) return { messages: [], more: false }
      throw error
    }
  }

  // The newest page again, once the feed is open: what began before it is in the page, what begins later is told.
  async _reload() {
    try {
      const kept = this._next['']
      await this._page('', undefined)
      if (kept !== undefined) this._next[''] = kept
    } catch (error) {
      this._failed(error, '')
    }
    this._told()
  }

  // Nothing found is what a token of one conversation gets for the list of all.
  _failed(error, query) {
    if (error.name === 'AbortError') return
    this._next[query] ??= null
    if (error.status === 401) this.refused = 'token'
    else if (error.status === 404 && this.contexts.size === 0) this.refused = 'list'
  }

  async _askPreviews() {
    if (this._previews >= PREVIEWS_AT_ONCE) return
    this._previews++
    for (let id = this._wanted.pop(); id !== undefined; id = this._wanted.pop()) await this._askPreview(id)
    this._previews--
  }

  async _askPreview(id) {
    try {
      const { messages } = await this._get(contextPath(id, '/messages'), { kind: 'transcript', last: 1 })
      if (messages.length > 0) this.contexts.setPreview(id, messages[0])
      this._told()
    } catch {
      // A preview is a courtesy: the conversation is listed without.
    }
  }

  _get(path, query, signal = this._closing.signal) {
    return persistently(() => this._api.get(path, query, signal), { signal })
  }

  _follow() {
    const feed = new Feed(this._api, 'events', {
      after: null,
      store: true,
      presence: this._presence,
      query: { text: 'false' },
      changes: (changes) => this._take(changes),
      state: (state) => {
        if (state === 'live') this._reload()
        this._state(state)
      },
      lost: () => this._startAnew(),
    })
    return feed.start()
  }

  // What is known may be old: once the feed is open, the list is read again.
  _startAnew() {
    this._next = { '': undefined }
    this.contexts.clear()
    this.feed = this._follow()
  }

  _take(changes) {
    for (const change of changes) {
      // An erased context is named by a digest here; which one it was shows in the list.
      if (change.block) this.search.heard(change.context_id, change.block)
      if (change.change === 'history_erased') this._forgetErased()
      else if (!this.contexts.apply(change)) this.refresh(change.context_id)
    }
    this._told()
  }

  async _forgetErased() {
    this._next = { '': undefined }
    this.contexts.clear()
    await this._reload()
  }
}
