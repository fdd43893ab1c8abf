// The conversation in the middle: joins what is loaded and followed with what is on the page.

import { BASE, contextPath } from './api.js'
import { BlockView } from './block_view.js'
import { Conversation } from './conversation.js'
import { byId } from './dom.js'
import { Flow } from './flow.js'
import { written } from './places.js'
import { RunBar } from './run_bar.js'

const MISSING = 'The block that the link names is not in this conversation.'
const HIDDEN = 'The block that the link names is not part of the transcript; the trace shows it.'

export class ConversationView {
  // `told.state(state)`, `told.context(id)`, `told.say`: an Announcer; `choices`: {kind, raw}.
  constructor(api, presence, choices, told) {
    this._api = api
    this._presence = presence
    this._choices = choices
    this._told = told
    this._conversation = null
    this._shown = null
    this._runs = new RunBar(byId('runs'), { stop: (run) => this._cancel(run) })
    this._scroller = byId('scroller')
    this.flow = new Flow(this._scroller, byId('flow'), {
      makeView: (block) => new BlockView(block, this._shown),
      nearTop: () => this._conversation?.loadOlder(),
      nearBottom: () => this._conversation?.loadNewer(),
      moved: () => this._showJump(),
    })
    byId('latest').addEventListener('click', () => this.toEnd())
  }

  get contextId() {
    return this._conversation?.contextId ?? null
  }

  get conversation() {
    return this._conversation
  }

  open(contextId, blockId) {
    if (contextId === this.contextId) return this.goTo(blockId)
    this.close()
    this._note('')
    this._shown = this._howShown(contextId)
    this._wanted = blockId
    const told = (what) => this._heard(what)
    this._conversation = new Conversation(this._api, contextId, { kind: this._choices.kind, told, presence: this._presence })
    this.flow.reset([], null)
    this._runs.show(null)
    return this._conversation.open(blockId)
  }

  close() {
    this._conversation?.close()
    this._conversation = null
    this._told.state(null)
  }

  goTo(blockId) {
    if (!blockId) return undefined
    if (!this._conversation.moves && this._conversation.span.get(blockId)) return this._mark(blockId)
    this._wanted = blockId
    return this._conversation.goTo(blockId)
  }

  toEnd() {
    if (this._conversation?.moves || this._conversation?.span.newer) return this._conversation.goTo(null)
    return this.flow.toEnd()
  }

  toStart() {
    if (this._conversation?.moves || this._conversation?.span.older) return this._conversation.goTo('start')
    const first = this._conversation?.span.first
    return first && this.flow.reveal(first.id, { block: 'start' })
  }

  // The same place in the other kind, or the nearest that it has.
  showKind(kind) {
    this._choices.kind = kind
    if (!this._conversation) return
    const place = this.flow.atEnd && !this._conversation.span.newer ? null : this.flow.topmost()
    this._wanted = null
    this._conversation.show(kind, place)
  }

  showRaw(raw) {
    this._choices.raw = raw
    if (this._shown) this._shown.raw = raw
    this.flow.remake()
  }

  stop() {
    return this._runs.stop()
  }

  _howShown(contextId) {
    return {
      raw: this._choices.raw,
      contextId,
      expanded: new Set(),
      partAddress: (blockId, digest) => new URL(contextPath(contextId, `/blocks/${blockId}/parts/${digest}`), BASE).href,
      blockAddress: (blockId) => written({ contextId, blockId }),
    }
  }

  _heard(what) {
    const { flow } = this
    if (what.type === 'changed') {
      flow.change(what.block)
      if (what.ended) this._told.say.ended(what.block)
    } else if (what.type === 'added') {
      flow.add(what.block)
      this._told.say.added(what.block)
      this._describe()
    } else if (what.type === 'reset') this._reset(what.place)
    else if (what.type === 'prepended') flow.prepend(what.blocks)
    else if (what.type === 'appended') flow.append(what.blocks)
    else this._heardAside(what)
    this._showJump()
  }

  _heardAside(what) {
    if (what.type === 'run') this._runs.show(this._conversation?.runs)
    else if (what.type === 'state') this._told.state(what.state)
    else if (what.type === 'loading') this._scroller.setAttribute('aria-busy', String(what.loading))
    else if (what.type === 'gone') this._gone()
    else if (what.type === 'failed') this._failed(what.error)
    else if (what.type === 'missing') this._tellMissing()
  }

  _reset(place) {
    this.flow.reset(this._conversation.span.blocks, place)
    this._describe()
    if (this._wanted && !this._mark(this._wanted) && place !== null) this._tell(HIDDEN)
    this._wanted = null
    this.flow.look()
  }

  // Whether the block is there to be marked.
  _mark(blockId) {
    const view = this.flow.reveal(blockId)
    if (!view) return false
    for (const marked of this._scroller.querySelectorAll('.marked')) marked.classList.remove('marked')
    view.element.classList.add('marked')
    view.element.focus({ preventScroll: true })
    return true
  }

  _tellMissing() {
    this._wanted = null
    this._tell(MISSING)
  }

  _tell(text) {
    this._told.say.say(text)
    this._told.problem(text)
  }

  _describe() {
    const { span, loaded } = this._conversation
    const empty = span.blocks.length === 0
    const other = this._choices.kind === 'transcript' ? 'Nothing said yet; the trace may have more.' : 'Nothing here yet.'
    this._note(empty && loaded ? other : '')
    byId('beginning').hidden = empty || span.older
    this._told.context(this.contextId)
  }

  _showJump() {
    const jump = byId('latest')
    jump.hidden = this.flow.atEnd && !this._conversation?.span.newer
    const running = this._conversation?.runs.running.length ?? 0
    jump.classList.toggle('running', running > 0)
  }

  _gone() {
    this._conversation.span.reset([], { older: false, newer: false })
    this.flow.reset([], null)
    this._note('This conversation was erased.')
  }

  _failed(error) {
    if (error.status === 401) this._note('This page needs a token.')
    else if (error.status === 410) this._gone()
    else if (error.status === 404) this._note('There is nothing here, or nothing that this token reaches.')
    else this._note(`Not loaded: ${error.message}`)
  }

  async _cancel(run) {
    try {
      await this._conversation?.cancel(run)
    } catch (error) {
      this._tell(`Not stopped: ${error.status === 404 ? 'this token may not write' : error.message}`)
    }
  }

  _note(text) {
    const note = byId('note')
    note.textContent = text
    note.hidden = text === ''
  }
}
