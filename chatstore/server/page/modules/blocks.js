// Blocks as the page keeps them: as the server sends them, and the length of their text in characters.

import { characters, spliced } from './growing_text.js'

const SPEAKERS = new Set(['user', 'assistant'])

export function received(block) {
  return { ...block, length: characters(block.text) }
}

// What is known of a block after it was told of again. It ends once, and until then its text only grows; so whatever
// comes late, from before a page was loaded, takes nothing back.
export function merged(known, told) {
  const next = received(told)
  if (!known) return next
  if (known.state !== 'open' && next.state === 'open') return known
  const growsOn = next.state === 'open' && known.length > next.length
  return growsOn ? { ...next, text: known.text, length: known.length } : next
}

// The block with a piece of text; null where the pieces before it are missing.
export function grown(known, change) {
  if (known.state !== 'open') return known
  const found = spliced(known, change.offset, change.text)
  return found && (found.text === known.text ? known : { ...known, ...found })
}

// Whether a kind shows a block; the page follows all of a conversation and shows a part.
export function shows(kind, block) {
  if (kind !== 'transcript') return true
  return block.type === 'message' && SPEAKERS.has(block.role) && !block.internal
}
