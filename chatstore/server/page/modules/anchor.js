// Keeps what is read where it is while things above it change their height, and the end in view while it grows.
// Browsers differ in this, and none does it at the very top; so it is switched off in the style sheet.

const NEAR = 48

export class Anchor {
  // `visible()` gives the elements that may be held on to, from the top down.
  constructor(scroller, content, visible) {
    this._scroller = scroller
    this._visible = visible
    this._held = null
    this._height = 0
    this.stuck = true
    scroller.addEventListener('scroll', () => this._scrolled(), { passive: true })
    const sizes = new ResizeObserver(() => this._hold())
    sizes.observe(content)
    sizes.observe(scroller)
  }

  // Runs something that may change heights anywhere.
  during(change) {
    this._hold()
    change()
    this._hold()
  }

  stick() {
    this.stuck = true
    this._hold()
  }

  release() {
    this._choose()
    this.stuck = false
  }

  // What grew since the last look does not make somebody at the end leave it.
  _scrolled() {
    const { scrollTop, clientHeight } = this._scroller
    this.stuck = this._height - clientHeight - scrollTop < NEAR
    if (!this.stuck) this._hold()
    this._choose()
  }

  _hold() {
    if (this.stuck) this._scroller.scrollTop = this._scroller.scrollHeight
    else if (this._held?.element.isConnected) {
      const place = this._placeOf(this._held.element)
      if (place !== this._held.place) this._scroller.scrollTop += place - this._held.place
      this._held.place = place
    }
    this._height = this._scroller.scrollHeight
  }

  _choose() {
    const { top } = this._scroller.getBoundingClientRect()
    const element = this._visible().find((one) => one.getBoundingClientRect().bottom > top + 1)
    this._held = element ? { element, place: this._placeOf(element) } : null
  }

  _placeOf(element) {
    const { top } = this._scroller.getBoundingClientRect()
    return element.getBoundingClientRect().top - top + this._scroller.scrollTop
  }
}
