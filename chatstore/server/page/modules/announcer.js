// Tells a screen reader what a glance would tell: that an answer began, and what it was. Never each token.

import { shortened } from './words.js'

const LONGEST = 400

export class Announcer {
  constructor(region) {
    this._region = region
  }

  say(text) {
    this._region.textContent = text
  }

  added(block) {
    if (block.type !== 'message' || block.internal) return
    const who = block.author ?? block.role ?? 'somebody'
    this.say(block.state === 'open' ? `${who} is answering` : `${who}: ${shortened(block.text, LONGEST)}`)
  }

  ended(block) {
    if (block.type !== 'message' || block.internal) return
    const how = block.state === 'closed' ? '' : ` (${block.state})`
    this.say(`${block.author ?? block.role}${how}: ${shortened(block.text, LONGEST)}`)
  }
}
