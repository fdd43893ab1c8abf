// The list of conversations: one line of what it is called, one of what was said last.

import { hueOf } from './block_view.js'
import { button, element } from './dom.js'
import { plainly } from './markdown.js'
import { written } from './places.js'
import { count, shortened, when } from './words.js'

const ROWS = 60 // put on the page at first, and more as one scrolls

export class ListView {
  constructor(list, scroller, directory, note, { askToken }) {
    this._enter = button('Enter one', { class: 'link' }, askToken)
    this._list = list
    this._directory = directory
    this._note = note
    this._noteText = document.createTextNode('')
    this._further = button('', { class: 'link' }, () => this._goOnOrStop())
    this._rows = new Map()
    this._most = ROWS
    this._open = null
    this._drawing = false
    this._seen = new IntersectionObserver((entries) => this._inView(entries), { root: scroller, rootMargin: '200px' })
    this._end = element('li', { class: 'end', role: 'presentation' })
    new IntersectionObserver(([entry]) => entry.isIntersecting && this._more(), { root: scroller, rootMargin: '400px' }).observe(this._end)
  }

  setOpen(contextId) {
    this._open = contextId
    this.draw()
  }

  filtered() {
    this._most = ROWS
  }

  // Draws in the next frame; however much happens before, once.
  draw() {
    if (this._drawing) return
    this._drawing = true
    requestAnimationFrame(() => {
      this._drawing = false
      this._draw()
    })
  }

  // The rows' links, for the keyboard.
  links() {
    return [...this._list.querySelectorAll('a.row')]
  }

  _draw() {
    const all = this._directory.list()
    const shown = all.slice(0, this._most)
    const focused = document.activeElement
    const items = shown.map((context) => this._item(context))
    place(this._list, [...items, this._end])
    for (const [id, row] of this._rows) if (!row.item.isConnected) this._rows.delete(id)
    if (focused !== document.activeElement && focused?.isConnected) focused.focus({ preventScroll: true })
    this._left = all.length - shown.length
    this._describe(all.length)
  }

  _describe(found) {
    const { filter, more, refused } = this._directory
    if (refused) this._describeRefusal(refused)
    else if (!filter.isEmpty) this._describeSearch(found)
    else this._note.textContent = found > 0 ? '' : more ? 'Looking…' : 'No conversations yet'
    // What is left may begin in view: an observer tells only of what moves.
    if (more && this._left <= 0 && found < this._most) this._directory.loadMore()
  }

  // What was found, and how much of the whole was looked through.
  _describeSearch(found) {
    const { search } = this._directory
    const said = found > 0 ? count(found, 'conversation') : search.state === 'done' ? 'Nothing matches' : 'Nothing yet'
    const far = search.state === 'done' ? '' : `; texts of ${search.read.toLocaleString()} of ${search.of.toLocaleString()} read`
    this._noteText.data = `${said}${far}`
    const label = { busy: 'Stop', stopped: 'Go on' }[search.state]
    this._further.textContent = label ?? ''
    this._further.hidden = !label
    if (this._noteText.parentNode !== this._note) this._note.replaceChildren(this._noteText, this._further)
  }

  _describeRefusal(refused) {
    if (refused === 'list') this._note.textContent = 'This token opens a single conversation: follow the link to it.'
    else if (!this._enter.isConnected) this._note.replaceChildren('This page needs a token. ', this._enter)
  }

  _goOnOrStop() {
    const { search } = this._directory
    if (search.state === 'busy') search.stop()
    else search.goOn()
    this.draw()
  }

  _more() {
    this._most += ROWS
    if (this._left > 0) this.draw()
    else if (this._directory.more) this._directory.loadMore()
  }

  _item(context) {
    const id = context.context_id
    let row = this._rows.get(id)
    if (!row) {
      const link = element('a', { class: 'row', href: written({ contextId: id }) })
      row = { item: element('li', { 'data-context': id }, link), link, signature: null }
      this._rows.set(id, row)
      this._seen.observe(row.item)
    }
    const signature = [context.updated_at, context.count, context.running.size, context.preview?.id, context.preview?.state, id === this._open].join()
    if (signature !== row.signature) this._fill(row, context)
    row.signature = signature
    return row.item
  }

  // The link itself stays: made anew between a press and a release it would miss the click.
  _fill({ link }, context) {
    const current = context.context_id === this._open
    if (current) link.setAttribute('aria-current', 'true')
    else link.removeAttribute('aria-current')
    link.tabIndex = current ? 0 : -1
    link.replaceChildren(
      element('span', { class: 'line' }, ...titled(context), element('time', { class: 'when' }, when(context.updated_at, new Date()))),
      element('span', { class: 'line' }, ...said(context)),
    )
  }

  _inView(entries) {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) this._directory.wantPreview(target.dataset.context)
    }
  }
}

// By its keys, where it has some: its id is only a digest of them then.
export function titleOf(context) {
  const keys = Object.values(context.keys ?? {})
  return keys.length > 0 ? keys.join(' · ') : context.context_id
}

function titled(context) {
  const title = titleOf(context)
  const running = context.running.size > 0 || context.preview?.state === 'open'
  const mark = element('span', { class: `mark hue-${hueOf(title)}${running ? ' running' : ''}`, title: running ? 'an answer is being written' : null })
  return [mark, element('span', { class: 'title' }, title)]
}

function said({ preview, count: blocks }) {
  const last = element('span', { class: 'last' }, preview ? `${preview.author ?? preview.role}: ${shortened(textOf(preview), 90)}` : null)
  return [last, element('span', { class: 'count', title: count(blocks, 'block') }, blocks.toLocaleString())]
}

// As the conversation shows it: answers are Markdown, and what people write is as they wrote it.
function textOf({ role, text }) {
  return role === 'assistant' ? plainly(text.slice(0, 400)) : text
}

// Makes these the children, in this order, moving no more than is out of place.
function place(parent, wanted) {
  const kept = new Set(wanted)
  for (const child of [...parent.children]) if (!kept.has(child)) child.remove()
  let at = parent.firstElementChild
  for (const child of wanted) {
    if (child === at) at = at.nextElementSibling
    else parent.insertBefore(child, at)
  }
}
