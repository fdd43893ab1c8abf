// Text as it was stored, letter by letter. A long one stands in several boxes, so that a piece more has the browser
// lay out the last of them only.

import { element } from './dom.js'

const LONG = 8_000
const LONGEST = 24_000 // also where no line ends

export class Plain {
  constructor(block) {
    this.element = element('div', { class: 'text plain', 'data-text': '' })
    this._shown = ''
    this._last = null
    this.update(block)
  }

  update({ text }) {
    if (text === this._shown) return
    if (!text.startsWith(this._shown)) this._clear()
    this._append(text.slice(this._shown.length))
    this._shown = text
  }

  _append(text) {
    let rest = (this._last?.data ?? '') + text
    while (rest.length > LONG) {
      const end = endOfBox(rest)
      if (end === null) break
      this._box(rest.slice(0, end))
      rest = rest.slice(end)
      this._last = null
    }
    if (this._last) this._last.appendData(rest.slice(this._last.length))
    else this._open(rest)
  }

  // The last box is written again as a settled one.
  _box(text) {
    this._last?.remove()
    this.element.append(element('div', { class: 'box' }, text))
  }

  _open(rest) {
    this._last = document.createTextNode(rest)
    this.element.append(this._last)
  }

  _clear() {
    this.element.replaceChildren()
    this._shown = ''
    this._last = null
  }
}

// Behind the first line that ends late enough, and never between the halves of a character.
function endOfBox(text) {
  const line = text.indexOf('\n', LONG) + 1
  if (line > 0 && line <= LONGEST) return line
  if (text.length <= LONGEST) return null
  const half = text.charCodeAt(LONGEST - 1)
  return half >= 0xd800 && half <= 0xdbff ? LONGEST - 1 : LONGEST
}
