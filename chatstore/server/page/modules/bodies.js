// What a block says: prose, plain text, a line, or something folded that is opened by who wants to know.

import { element } from './dom.js'
import { Folded } from './folded.js'
import { indented } from './json_text.js'
import { Plain } from './plain.js'
import { LONGEST, Prose } from './prose.js'
import { shortened } from './words.js'

const PREVIEW = 120

export function bodyOf(block, shown) {
  if (block.type === 'message') return shown.raw || block.role !== 'assistant' ? new Plain(block) : new Rendered(block)
  if (block.type === 'status' || block.type === 'error') return new Plain(block)
  return new Folded(block, shown, FOLDED[block.type] ?? other)
}

class Rendered {
  constructor(block) {
    this.element = element('div', { class: 'text prose', 'data-text': '' })
    this._prose = new Prose(this.element)
    this.update(block)
  }

  update(block) {
    if (block.text.length > LONGEST) return this._showPlain(block)
    this._prose.show(block.text, { ended: block.state !== 'open' })
  }

  _showPlain(block) {
    this._plain ??= new Plain(block)
    this._plain.update(block)
    if (!this._plain.element.isConnected) this.element.replaceChildren(this._plain.element)
  }
}

const FOLDED = {
  // The arguments as the model wrote them; a number in them may be larger than a browser's.
  function_call: (block) => ({
    mark: 'ƒ',
    label: block.data?.name ?? 'call',
    preview: shortened(block.text, PREVIEW),
    full: () => indented(block.text),
    busy: 'writing arguments',
  }),
  function_result: (block) => ({
    mark: '↳',
    label: block.data?.is_error ? 'error' : (block.data?.name ?? 'result'),
    preview: shortened(block.text, PREVIEW),
    full: () => indented(block.text),
    wrong: block.data?.is_error === true,
    busy: 'running',
  }),
  reasoning: (block) => ({
    mark: '✱',
    label: block.state === 'open' ? 'Thinking' : 'Reasoning',
    preview: shortened(block.text, PREVIEW),
    full: () => block.text,
    busy: 'thinking',
  }),
}

function other(block) {
  const data = block.data === null ? '' : JSON.stringify(block.data, null, 2)
  return {
    mark: '◇',
    label: block.type,
    preview: shortened(block.text || data, PREVIEW),
    full: () => [block.text, data].filter(Boolean).join('\n\n'),
    busy: 'writing',
  }
}
