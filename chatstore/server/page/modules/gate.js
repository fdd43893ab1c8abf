// What is shown when the server wants a token that this page does not have.

import { BASE } from './api.js'
import { byId } from './dom.js'

export class Gate {
  constructor() {
    this._gate = byId('gate')
    this._dismissed = false
    this._gate.addEventListener('close', () => (this._dismissed = true))
    byId('gate-address').textContent = `${BASE}?token=…`
    byId('gate-form').addEventListener('submit', (event) => {
      event.preventDefault()
      this._enter(byId('gate-token').value.trim())
    })
  }

  // A token that was given and does not hold: of a wrong link, or of one that is kept for too long.
  showRefused() {
    byId('gate-title').textContent = 'That token does not hold'
    byId('gate-why').textContent = 'It has expired, is for another store, or was not copied whole.'
    this.show()
  }

  // Answers that come late do not open again what somebody has closed.
  showUnasked() {
    if (!this._dismissed) this.show()
  }

  show() {
    if (this._gate.open) return
    this._gate.showModal()
    byId('gate-token').focus()
  }

  // The server turns the address into a cookie that no script can read, and leads back here.
  _enter(given) {
    const token = given.includes('token=') ? new URL(given, BASE).searchParams.get('token') : given
    const opened = new URL(BASE)
    opened.searchParams.set('token', token)
    opened.hash = location.hash
    if (token) location.assign(opened)
  }
}
