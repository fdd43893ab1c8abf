// A run of neighbouring blocks that is put on the page and taken off it as one. Off the page it keeps its height.

import { element } from './dom.js'

export const LARGEST = 25

export class Chunk {
  constructor(blocks, makeView) {
    this.blocks = [...blocks]
    this.views = new Map()
    this.mounted = false
    this._makeView = makeView
    this.element = element('div', { class: 'chunk', role: 'presentation' })
    this._reserve(this.blocks.reduce((sum, block) => sum + estimate(block), 0))
  }

  mount() {
    if (this.mounted) return
    this.mounted = true
    this.element.replaceChildren(...this.blocks.map((block) => this._view(block).element))
    this.element.style.minHeight = ''
  }

  unmount() {
    if (!this.mounted) return
    this._reserve(this.element.getBoundingClientRect().height)
    this.mounted = false
    this.views.clear()
    this.element.replaceChildren()
  }

  // Makes all views anew, for they are to look otherwise.
  remake() {
    if (!this.mounted) return
    this.views.clear()
    this.element.replaceChildren(...this.blocks.map((block) => this._view(block).element))
  }

  add(block) {
    const behind = this.blocks.findIndex((other) => other.index > block.index)
    const place = behind < 0 ? this.blocks.length : behind
    this.blocks.splice(place, 0, block)
    if (this.mounted) this.element.insertBefore(this._view(block).element, this.element.children[place] ?? null)
  }

  replace(block) {
    this.blocks[this.blocks.findIndex((other) => other.id === block.id)] = block
  }

  update(id) {
    this.views.get(id)?.update(this.blocks.find((block) => block.id === id))
  }

  _view(block) {
    const view = this._makeView(block)
    this.views.set(block.id, view)
    return view
  }

  _reserve(height) {
    this.element.style.minHeight = `${height}px`
  }
}

// A guess that only has to be near: the place is kept when the true height is known.
function estimate(block) {
  if (block.type !== 'message') return 34
  return 70 + 25 * Math.ceil(block.text.length / 80)
}
