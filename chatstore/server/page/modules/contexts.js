// The conversations that are known, newest first, and which of them a filter leaves.

import { shows } from './blocks.js'

export class Contexts {
  constructor() {
    this._byId = new Map()
  }

  get size() {
    return this._byId.size
  }

  get(id) {
    return this._byId.get(id) ?? null
  }

  clear() {
    this._byId.clear()
  }

  // A context as the server lists it. What was heard of it since stays.
  put(context) {
    const known = this._byId.get(context.context_id)
    const heard = { running: known?.running ?? new Set(), preview: known?.preview ?? null }
    const updated = newest(known?.updated_at, context.updated_at)
    this._byId.set(context.context_id, { ...known, ...context, ...heard, updated_at: updated })
  }

  // Takes a change of the store's feed. False where the context is not known yet.
  apply(change) {
    const known = this._byId.get(change.context_id)
    if (!known) return false
    if (change.block) this._heardBlock(known, change)
    if (change.run) this._heardRun(known, change.run)
    return true
  }

  setPreview(id, block) {
    const known = this._byId.get(id)
    if (known && (known.preview === null || known.preview.index <= block.index)) known.preview = block
  }

  remove(id) {
    this._byId.delete(id)
  }

  // The newest first.
  all() {
    return [...this._byId.values()].sort((one, other) => compare(other.updated_at, one.updated_at) || compare(other.context_id, one.context_id))
  }

  list(filter) {
    return this.all().filter((context) => filter.matches(context))
  }

  _heardBlock(known, { change, block }) {
    if (change !== 'block_updated') known.updated_at = newest(known.updated_at, block.updated_at)
    known.count = Math.max(known.count, block.index + 1)
    if (shows('transcript', block)) this.setPreview(known.context_id, block)
  }

  _heardRun(known, run) {
    if (run.state === 'running') known.running.add(run.id)
    else known.running.delete(run.id)
    known.updated_at = newest(known.updated_at, run.ended_at ?? run.started_at)
  }
}

// What is typed into the filter: words that have to occur, in whatever case, and key:value for context keys. Each may be
// in the id, a key, a tag, or any text of the conversation that was looked at.
export class Filter {
  constructor(typed) {
    const words = typed.trim().split(/\s+/).filter(Boolean)
    this.keys = words.filter((word) => /^[^:]+:.+$/.test(word))
    this._words = words.map((word) => word.toLowerCase())
    this._seen = new Map()
  }

  get isEmpty() {
    return this._words.length === 0
  }

  // Keeps in mind which of the words a text of a conversation has.
  look(contextId, text) {
    const said = text.toLowerCase()
    const found = this._words.filter((word) => said.includes(word))
    if (found.length === 0) return
    const seen = this._seen.get(contextId) ?? new Set()
    this._seen.set(contextId, seen)
    for (const word of found) seen.add(word)
  }

  matches(context) {
    if (this.isEmpty) return true
    const seen = this._seen.get(context.context_id)
    const missing = this._words.filter((word) => !seen?.has(word))
    if (missing.length === 0) return true
    const keys = Object.entries(context.keys ?? {}).map(([name, value]) => `${name}:${value}`)
    const tags = context.tags.map(({ kind, name }) => `${kind}:${name}`)
    const said = [context.context_id, ...keys, ...tags, context.preview?.text ?? ''].join('\n').toLowerCase()
    return missing.every((word) => said.includes(word))
  }
}

function newest(one, other) {
  return one !== undefined && compare(one, other) > 0 ? one : other
}

// Times of one form, in UTC, are in order as text, but for the fraction that a whole second lacks.
function compare(one, other) {
  const [left, right] = [one.replace(/Z$/, ''), other.replace(/Z$/, '')]
  return left < right ? -1 : Number(left > right)
}
