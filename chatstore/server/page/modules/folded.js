// Something that is long and seldom read: one line, and the whole of it once it is unfolded.

import { button, element } from './dom.js'
import { size } from './words.js'

const PAGE = 200_000 // characters shown at once of what may be many megabytes

// `describe(block)` gives {mark, label, preview, full(), wrong, busy}.
export class Folded {
  constructor(block, shown, describe) {
    this._describe = describe
    this._label = element('span', { class: 'label' })
    this._preview = element('span', { class: 'preview' })
    this._busy = element('span', { class: 'busy', hidden: true })
    const mark = element('span', { class: 'mark', 'aria-hidden': 'true' })
    const summary = element('summary', {}, mark, this._label, this._preview, this._busy)
    this._whole = element('pre', { class: 'whole', 'data-text': '' })
    this.element = element('details', { class: 'folded', open: shown.expanded.has(block.id) }, summary, this._whole)
    this.element.addEventListener('toggle', () => this._toggled(shown))
    this._mark = mark
    this.update(block)
  }

  update(block) {
    this._block = block
    const found = this._describe(block)
    this._mark.textContent = found.mark
    this._label.textContent = found.label
    this._preview.textContent = found.preview
    this._busy.textContent = `${found.busy}…`
    this._busy.hidden = block.state !== 'open'
    this.element.classList.toggle('wrong', found.wrong === true)
    if (this.element.open) this._show(found.full())
  }

  _toggled({ expanded }) {
    if (this.element.open) {
      expanded.add(this._block.id)
      this._show(this._describe(this._block).full())
    } else {
      expanded.delete(this._block.id)
    }
  }

  _show(text, most = PAGE) {
    const known = this._whole.textContent
    if (known === text) return
    this._whole.replaceChildren(text.slice(0, most) || '(empty)')
    if (text.length > most) {
      const label = `Show more (${size(text.length - most)} left)`
      this._whole.append(button(label, { class: 'more' }, () => this._show(text, most * 5)))
    }
  }
}
