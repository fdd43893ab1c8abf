// Moving the focus through the rows of the list and the blocks of a conversation.

import { byId } from './dom.js'

export function stepInList(list, step) {
  const links = list.links()
  if (links.length === 0) return false
  const at = links.indexOf(document.activeElement)
  const start = at < 0 ? links.findIndex((link) => link.ariaCurrent === 'true') : at
  const next = Math.max(0, Math.min(links.length - 1, start + step))
  links[next].focus()
  return true
}

// To the next block from the one that has the focus, or else from the first in view.
export function stepInBlocks(view, step) {
  const blocks = view.conversation?.span.blocks ?? []
  if (blocks.length === 0) return false
  const focused = document.activeElement.closest?.('article.block')?.dataset.block
  const from = focused ?? view.flow.topmost()
  const at = blocks.findIndex((block) => block.id === from)
  const next = focused ? at + step : at
  const block = blocks[Math.max(0, Math.min(blocks.length - 1, next))]
  focusOn(view.flow.reveal(block.id, { block: 'nearest' }))
  return true
}

export function toBlocks(view) {
  if (stepInBlocks(view, 0)) return true
  byId('scroller').focus()
  return true
}

export function unfold(article) {
  const folded = article.querySelector('details')
  if (!folded) return false
  folded.open = !folded.open
  return true
}

function focusOn(view) {
  view?.element.focus({ preventScroll: true })
}
