// One block as an article: who and when above, what was said below.

import { bodyOf } from './bodies.js'
import { element } from './dom.js'
import { partsOf } from './parts.js'
import { dayAndTime, wholeTime } from './words.js'

const HUES = 8
const ENDS = { failed: 'failed', cancelled: 'stopped', interrupted: 'interrupted' }

// `shown` is how the page shows blocks: {raw, contextId, expanded, partAddress(id, digest), blockAddress(id)}.
export class BlockView {
  constructor(block, shown) {
    this._block = block
    this._shown = shown
    this._body = bodyOf(block, shown)
    this._head = element('header', { class: 'by', id: `h-${block.id}` })
    this._rest = element('div', { class: 'rest' })
    this.element = element(
      'article',
      {
        id: `b-${block.id}`,
        tabindex: '-1',
        'aria-labelledby': `h-${block.id}`,
        'aria-posinset': block.index + 1,
        'aria-setsize': -1,
        'data-block': block.id,
      },
      this._head,
      this._body.element,
      this._rest,
    )
    this._describe()
  }

  update(block) {
    const known = this._block
    this._block = block
    this._body.update(block)
    if (known.state !== block.state || known.tags !== block.tags || known.usage !== block.usage) this._describe()
  }

  _describe() {
    const block = this._block
    this.element.className = classes(block)
    this.element.setAttribute('aria-busy', String(block.state === 'open'))
    this._head.replaceChildren(...head(block, this._shown))
    this._rest.replaceChildren(...rest(block, this._shown))
    this._rest.hidden = this._rest.childElementCount === 0
  }
}

export function hueOf(name) {
  let sum = 0
  for (const letter of name) sum = (sum * 31 + letter.codePointAt(0)) >>> 0
  return sum % HUES
}

function classes(block) {
  const kind = ['message', 'status', 'function_call', 'function_result', 'reasoning', 'error'].includes(block.type)
    ? block.type
    : 'other'
  const role = ['user', 'assistant', 'system', 'developer', 'tool'].includes(block.role) ? `from-${block.role}` : ''
  return ['block', `is-${kind}`, role, `state-${block.state}`, block.internal ? 'internal' : ''].join(' ')
}

function head(block, { blockAddress }) {
  const name = block.author ?? block.role ?? (block.type === 'message' ? 'nobody' : '')
  const role = block.author && block.role ? element('span', { class: 'role' }, block.role) : null
  const internal = block.internal ? element('span', { class: 'badge' }, 'internal') : null
  const ended = ENDS[block.state] ? element('span', { class: `badge ended-${block.state}` }, ENDS[block.state]) : null
  const time = element('time', { datetime: block.created_at }, dayAndTime(block.created_at, new Date()))
  const title = `Link to block ${block.index}, ${wholeTime(block.created_at)}`
  const link = element('a', { class: 'anchor', href: blockAddress(block.id), title, 'aria-label': title }, time)
  const who = element('span', { class: `who hue-${hueOf(name)}` }, name)
  return [who, role, internal, ended, element('span', { class: 'gap' }), link].filter(Boolean)
}

function rest(block, shown) {
  const found = [...partsOf(block, shown)]
  const error = block.data?.error
  if (error?.message) {
    found.push(element('p', { class: 'failure' }, element('strong', {}, `${error.type}: `), error.message))
  }
  const notes = [...block.tags.map(tag), ...usage(block.usage)]
  if (notes.length > 0) found.push(element('p', { class: 'notes' }, ...notes))
  return found
}

function tag({ kind, name, value }) {
  const said = value === null ? `${kind}: ${name}` : `${kind}: ${name} = ${JSON.stringify(value)}`
  return element('span', { class: 'chip' }, said)
}

function usage(given) {
  if (given === null || typeof given !== 'object') return []
  const counts = Object.entries(given).filter(([, value]) => typeof value === 'number')
  return counts.map(([name, value]) => element('span', { class: 'chip quiet' }, `${name.replaceAll('_', ' ')} ${value.toLocaleString()}`))
}
