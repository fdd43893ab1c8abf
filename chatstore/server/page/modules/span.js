// The blocks that are loaded: an unbroken stretch of a conversation, in order of index.

export class Span {
  constructor() {
    this.reset([], { older: false, newer: false })
  }

  // `older` and `newer`: whether there is more to load before and behind.
  reset(blocks, { older, newer }) {
    this.blocks = [...blocks]
    this.older = older
    this.newer = newer
    this._byId = new Map(blocks.map((block) => [block.id, block]))
  }

  get first() {
    return this.blocks[0] ?? null
  }

  get last() {
    return this.blocks.at(-1) ?? null
  }

  get(id) {
    return this._byId.get(id) ?? null
  }

  // Where a block of this index is, or would stand.
  placeOf(index) {
    let [low, high] = [0, this.blocks.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.blocks[middle].index < index) low = middle + 1
      else high = middle
    }
    return low
  }

  // Takes a block as it is now. Says what came of it: "changed", "added", or "outside" of what is loaded.
  put(block) {
    const place = this.placeOf(block.index)
    if (this._byId.has(block.id)) {
      this.blocks[place] = block
      this._byId.set(block.id, block)
      return 'changed'
    }
    const [before, behind] = [place === 0 && this.blocks.length > 0, place === this.blocks.length]
    if ((before && this.older) || (behind && this.newer)) return 'outside'
    this.blocks.splice(place, 0, block)
    this._byId.set(block.id, block)
    return 'added'
  }

  // Adds a page that was loaded before the first block or behind the last; the blocks that are new.
  prepend(page, older) {
    const added = this._unknown(page)
    this.blocks = [...added, ...this.blocks]
    this.older = older
    return added
  }

  append(page, newer) {
    const added = this._unknown(page)
    this.blocks.push(...added)
    this.newer = newer
    return added
  }

  _unknown(page) {
    const added = page.filter((block) => !this._byId.has(block.id))
    for (const block of added) this._byId.set(block.id, block)
    return added
  }
}
