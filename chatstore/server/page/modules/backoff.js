// How long to wait before the next attempt: longer each time, never in step with other pages, and soon again after a success.

const FIRST = 250
export const LONGEST = 8_000

export class Backoff {
  constructor(random = Math.random) {
    this._random = random
    this.failures = 0
  }

  next() {
    const ceiling = Math.min(LONGEST, FIRST * 2 ** this.failures++)
    return ceiling * (0.5 + this._random() / 2)
  }

  reset() {
    this.failures = 0
  }
}
