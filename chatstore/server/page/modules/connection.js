// Says whether what is shown is up to date. Of several feeds the worst counts.

import { byId, element } from './dom.js'

const ORDER = ['over', 'live', 'paused', 'connecting', 'reconnecting']
const LABELS = { live: 'Live', paused: 'Paused', connecting: 'Connecting…', reconnecting: 'Reconnecting…', over: '' }

export class Connection {
  constructor(pill, { retry, say }) {
    this._pill = pill
    byId('retry').addEventListener('click', retry)
    this._say = say
    this._states = new Map()
    this.state = null
  }

  set(feed, state) {
    if (state === null) this._states.delete(feed)
    else this._states.set(feed, state)
    const worst = Math.max(0, ...[...this._states.values()].map((one) => ORDER.indexOf(one)))
    if (ORDER[worst] !== this.state) this._show(ORDER[worst])
  }

  _show(state) {
    const back = this.state === 'reconnecting' && state === 'live'
    this.state = state
    this._pill.className = `pill ${state}`
    this._pill.replaceChildren(element('span', { class: 'lamp', 'aria-hidden': 'true' }), LABELS[state])
    byId('lost').hidden = state !== 'reconnecting'
    if (state === 'reconnecting') this._say('Connection lost, reconnecting')
    if (back) this._say('Connected again')
  }
}
