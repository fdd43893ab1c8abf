// Looks for words through all conversations: their list to its end, and then the texts of each, page by page. The store
// has no index of words, so this takes a while: it says how far it is, rests at a bound, and can be stopped.

const PAGE = 500
const AT_ONCE = 3
const QUIET = 250
const LISTED = 20_000 // conversations, and
const READ = 2_000 // those of them whose texts are read, until one asks for more

// `list(after, signal)` adds a page of conversations to `contexts`, and gives what the next one follows or null;
// `read(id, {limit, after}, signal)` gives a page of blocks, as the server does. `told` is called whenever there is news.
export class Search {
  constructor(contexts, { list, read, told }) {
    this._contexts = contexts
    this._list = list
    this._read = read
    this._told = told
    this._filter = null
    this._reset()
  }

  // Begins anew, with another filter; an empty one only ends what was going on.
  start(filter) {
    this.stop()
    this._filter = filter
    this._reset()
    if (filter.isEmpty) this.state = 'idle'
    else this.goOn()
  }

  stop() {
    this._going?.abort()
    if (this.state === 'busy') this.state = 'stopped'
  }

  // From where it was stopped, or rests.
  async goOn() {
    const going = new AbortController()
    this._going = going
    this.state = 'busy'
    this._told()
    try {
      this.state = (await this._look(going.signal)) ? 'done' : 'stopped'
    } catch (error) {
      if (going.signal.aborted) return
      going.abort()
      console.info(`search: ${error.message}`)
      this.state = 'stopped'
    }
    this._told()
  }

  // What is written meanwhile is looked at as it comes.
  heard(contextId, block) {
    if (this.state !== 'idle') this._filter.look(contextId, block.text)
  }

  // How many conversations there are, and of how many the texts were read.
  get of() {
    return this._contexts.size
  }

  _reset() {
    this.state = 'idle'
    this.read = 0
    this._toldAt = 0
    this._after = undefined
    this._done = new Set()
  }

  // Whether all was looked through.
  async _look(signal) {
    const [listed, read] = [this.of + LISTED, this.read + READ]
    while (this._after !== null && this.of < listed) {
      this._after = await this._list(this._after, signal)
      signal.throwIfAborted()
      this._progress()
    }
    const waiting = this._contexts.all().filter(({ context_id: id }) => !this._done.has(id))
    const readers = Array.from({ length: AT_ONCE }, () => this._readAll(waiting, read, signal))
    await Promise.all(readers)
    return this._after === null && waiting.length === 0
  }

  async _readAll(waiting, most, signal) {
    while (waiting.length > 0 && this.read < most) {
      const context = waiting.shift()
      if (!this._filter.matches(context)) await this._readOne(context, signal)
      this._done.add(context.context_id)
      this.read++
      this._progress()
    }
  }

  // Each time the list is gone through, which may be long.
  _progress() {
    if (Date.now() - this._toldAt < QUIET) return
    this._toldAt = Date.now()
    this._told()
  }

  // Until all the words were seen, or the end.
  async _readOne(context, signal) {
    for (let [more, after] = [true, undefined]; more && !this._filter.matches(context); ) {
      const page = await this._read(context.context_id, { limit: PAGE, after }, signal)
      signal.throwIfAborted()
      for (const block of page.messages) this._filter.look(context.context_id, block.text)
      more = page.more
      after = page.messages.at(-1)?.cursor
    }
  }
}
