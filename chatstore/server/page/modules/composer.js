// The box for a message. What is typed stays until it is stored, and is stored once however often it is sent.

import { byId } from './dom.js'
import { randomHex } from './random_hex.js'

export class Composer {
  constructor({ send }) {
    this._send = send
    this._form = byId('composer')
    this._box = byId('message')
    this._button = byId('send')
    this._note = byId('composer-note')
    this._drafts = new Map()
    this._contextId = null
    this._form.addEventListener('submit', (event) => {
      event.preventDefault()
      this.submit()
    })
    this._box.addEventListener('input', () => this._typed())
    this._box.addEventListener('keydown', (event) => this._pressed(event))
  }

  // Each conversation has its own draft.
  open(contextId) {
    this._contextId = contextId
    const draft = this._drafts.get(contextId)
    this._box.value = draft?.text ?? ''
    this._show(draft)
  }

  focus() {
    this._box.focus()
  }

  // The key names the message, so that sending it again after a cut stores nothing twice; other text is another message.
  async submit() {
    const contextId = this._contextId
    const text = this._box.value
    const known = this._drafts.get(contextId)
    if (text.trim() === '' || known?.sending) return
    const draft = { text, key: known?.text === text && known.key ? known.key : randomHex(16), sending: true }
    this._drafts.set(contextId, draft)
    this._show(draft)
    try {
      await this._send(contextId, text, draft.key)
      this._drafts.delete(contextId)
      if (this._contextId === contextId) this._box.value = ''
    } catch (error) {
      this._drafts.set(contextId, { ...draft, sending: false, failed: reason(error) })
    }
    if (this._contextId === contextId) this._show(this._drafts.get(contextId))
  }

  _typed() {
    const known = this._drafts.get(this._contextId)
    const draft = { ...known, text: this._box.value, failed: null }
    this._drafts.set(this._contextId, draft)
    this._show(draft)
  }

  _pressed(event) {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return
    event.preventDefault()
    this.submit()
  }

  _show(draft) {
    this._box.readOnly = draft?.sending === true
    this._button.disabled = draft?.sending === true || this._box.value.trim() === ''
    this._button.textContent = draft?.sending ? 'Sending…' : draft?.failed ? 'Send again' : 'Send'
    this._note.textContent = draft?.failed ?? ''
    this._note.hidden = !draft?.failed
    this._box.rows = Math.min(8, this._box.value.split('\n').length)
  }
}

function reason(error) {
  if (error.status === undefined) return 'Not sent: the server cannot be reached. The text is kept here.'
  if (error.status === 401 || error.status === 403 || error.status === 404) return 'Not sent: this token may read here, but not write.'
  return `Not sent: ${error.message}`
}
