// The blocks of a conversation on the page: all that are loaded have their place, those near the view are there.

import { Anchor } from './anchor.js'
import { Chunk, LARGEST } from './chunk.js'

const AHEAD = 2 // heights of the view: how far before an end of what is loaded more is asked for

export class Flow {
  constructor(scroller, content, { makeView, nearTop, nearBottom, moved }) {
    this._scroller = scroller
    this._content = content
    this._makeView = makeView
    this._told = { nearTop, nearBottom, moved }
    this._chunks = []
    this._chunkOf = new Map()
    this._dirty = new Set()
    this._pause = 0
    this._anchor = new Anchor(scroller, content, () => this._mountedViews())
    this._near = new IntersectionObserver((entries) => this._mount(entries), { root: scroller, rootMargin: '100% 0px' })
    scroller.addEventListener('scroll', () => this.look(), { passive: true })
  }

  get atEnd() {
    return this._anchor.stuck
  }

  // Shows other blocks. `place` is null for the end, "start", or the block to go to.
  reset(blocks, place) {
    this._near.disconnect()
    this._chunks = []
    this._chunkOf.clear()
    this._content.replaceChildren()
    this._anchor.release()
    this._insert(blocks, false)
    if (place === null) this.toEnd()
    else if (place === 'start') this._scroller.scrollTop = 0
    else this.reveal(place)
  }

  prepend(blocks) {
    this._anchor.during(() => this._insert(blocks, true))
    this.look()
  }

  // A page further down: whoever is at the end of the page before stays there.
  append(blocks) {
    this._anchor.release()
    this._anchor.during(() => this._insert(blocks, false))
    this.look()
  }

  add(block) {
    this._anchor.during(() => {
      const chunk = this._chunkFor(block)
      if (!chunk) {
        this._insert([block], false)
        this._chunks.at(-1).mount()
        return
      }
      chunk.add(block)
      this._chunkOf.set(block.id, chunk)
    })
  }

  // Many pieces of text come in the time of one frame, and are shown together.
  change(block) {
    this._chunkOf.get(block.id)?.replace(block)
    if (this._dirty.size === 0) this._schedule()
    this._dirty.add(block.id)
  }

  remake() {
    this._anchor.during(() => this._chunks.forEach((chunk) => chunk.remake()))
  }

  toEnd() {
    this._chunks.at(-1)?.mount()
    this._anchor.stick()
  }

  // The view of a block that is loaded, brought into view if it is not.
  reveal(id, { block = 'center' } = {}) {
    const chunk = this._chunkOf.get(id)
    if (!chunk) return null
    this._anchor.release()
    this._anchor.during(() => chunk.mount())
    const view = chunk.views.get(id)
    view.element.scrollIntoView({ block })
    this._anchor.release()
    return view
  }

  // Asks for more where the view is near an end of what is loaded.
  look() {
    const { scrollTop, clientHeight, scrollHeight } = this._scroller
    if (scrollTop < AHEAD * clientHeight) this._told.nearTop()
    if (scrollHeight - scrollTop - clientHeight < AHEAD * clientHeight) this._told.nearBottom()
    this._told.moved()
  }

  // The first block in view.
  topmost() {
    const { top } = this._scroller.getBoundingClientRect()
    return this._mountedViews().find((one) => one.getBoundingClientRect().bottom > top + 8)?.dataset.block ?? null
  }

  _insert(blocks, first) {
    const made = []
    for (let at = 0; at < blocks.length; at += LARGEST) made.push(this._made(blocks.slice(at, at + LARGEST)))
    this._chunks = first ? [...made, ...this._chunks] : [...this._chunks, ...made]
    const elements = made.map((chunk) => chunk.element)
    if (first) this._content.prepend(...elements)
    else this._content.append(...elements)
    for (const one of elements) this._near.observe(one)
  }

  _made(blocks) {
    const chunk = new Chunk(blocks, this._makeView)
    chunk.element.chunk = chunk
    for (const block of blocks) this._chunkOf.set(block.id, chunk)
    return chunk
  }

  // Where a block goes that came by itself: nearly always behind all others. None: into a chunk of its own.
  _chunkFor(block) {
    const last = this._chunks.at(-1)
    if (!last || last.blocks.at(-1).index > block.index) {
      return this._chunks.find((chunk) => chunk.blocks.at(-1).index > block.index)
    }
    return last.blocks.length < LARGEST ? last : null
  }

  _mount(entries) {
    this._anchor.during(() => {
      for (const { target, isIntersecting } of entries) {
        if (isIntersecting) target.chunk.mount()
        else if (!target.contains(document.activeElement)) target.chunk.unmount()
      }
    })
  }

  _mountedViews() {
    return this._chunks.filter((chunk) => chunk.mounted).flatMap((chunk) => [...chunk.element.children])
  }

  _schedule() {
    if (this._pause > 0) setTimeout(() => requestAnimationFrame(() => this._flush()), this._pause)
    else requestAnimationFrame(() => this._flush())
  }

  // What takes long to show is shown less often, so that the page stays quick.
  _flush() {
    const began = performance.now()
    this._anchor.during(() => {
      for (const id of this._dirty) this._chunkOf.get(id)?.update(id)
    })
    this._dirty.clear()
    const took = performance.now() - began
    this._pause = took > 8 ? took * 4 : 0
  }
}
