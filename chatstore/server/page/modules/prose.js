// Markdown that grows on the page: blocks that are settled stay as they are, only the last one is made anew.

import { built } from './dom.js'
import { parse } from './markdown.js'

export const LONGEST = 200_000 // longer texts are shown as they are: parsing them would be felt

export class Prose {
  constructor(target) {
    this._target = target
    this._shown = ''
    this._settled = 0
    this._last = []
  }

  // Shows the text; `ended` also sees to what only the whole of it tells, such as links defined further down.
  show(text, { ended }) {
    if (ended || !text.startsWith(this._shown)) this._clear()
    this._shown = text
    const rest = text.slice(this._settled)
    const blocks = parse(rest)
    const last = blocks.pop()
    for (const node of this._last) node.remove()
    this._target.append(...blocks.flatMap((block) => block.nodes.map(built)))
    this._last = last ? last.nodes.map(built) : []
    this._target.append(...this._last)
    if (last) this._settled += startOfLine(rest, last.line)
  }

  _clear() {
    this._target.replaceChildren()
    this._settled = 0
    this._last = []
  }
}

function startOfLine(text, line) {
  const ends = /\r\n?|\n/g
  for (let left = line; left > 0; left--) ends.exec(text)
  return ends.lastIndex
}
