// Says when a connection that looks open is to be given up: nothing was heard for long, or the machine was asleep.

const SILENCE = 40_000 // the server sends a heartbeat every 15 s
const PATIENCE = 8_000 // for the first sign: what is left of a dead connection may have been used again
const JUMP = 10_000
export const TICK = 1_000

export class Watchdog {
  constructor(now) {
    this._ticked = now
    this._heard = now
    this._patience = PATIENCE
  }

  heard(now) {
    this._heard = now
    this._patience = SILENCE
  }

  // Called every TICK by the wall clock, which goes on in sleep where timers do not.
  tick(now) {
    const passed = now - this._ticked
    this._ticked = now
    if (Math.abs(passed) > JUMP) return 'slept'
    return now - this._heard > this._patience ? 'silent' : null
  }
}
