// Everything by keyboard: through the list, through the blocks, and between them.

import { byId } from './dom.js'

const STEPS = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1 }

// `page`: what the keys do, by name. Keys that type, or belong to a control, are left to it.
export function startKeys(page) {
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || event.isComposing) return
    if (document.querySelector('dialog[open]')) return
    const taken = inField(event.target) ? inTheField(event, page) : elsewhere(event, page)
    if (taken) event.preventDefault()
  })
}

function inField(target) {
  return target.matches('input, textarea, select, [contenteditable]')
}

function inTheField(event, page) {
  const isFilter = event.target === byId('filter')
  if (event.key === 'Escape') {
    if (isFilter) page.clearFilter()
    else page.toBlocks()
    return true
  }
  if (isFilter && (event.key === 'ArrowDown' || event.key === 'Enter')) return page.toList(event.key === 'Enter')
  return false
}

function elsewhere(event, page) {
  const inList = byId('list').contains(event.target)
  const step = STEPS[event.key]
  if (step && !event.target.closest('audio')) return inList ? page.stepInList(step) : page.stepInBlocks(step)
  if (inList && (event.key === 'Home' || event.key === 'End')) return page.stepInList(event.key === 'Home' ? -Infinity : Infinity)
  if (event.key === 'Enter' && event.target.matches('article.block')) return page.unfold(event.target)
  const named = NAMED[event.key]
  return named ? named(page) !== false : false
}

const NAMED = {
  '/': (page) => page.toFilter(),
  '?': (page) => page.help(),
  Escape: (page) => page.toList(false),
  Home: (page) => page.toStart(),
  End: (page) => page.toEnd(),
  t: (page) => page.otherKind(),
  r: (page) => page.otherRendering(),
  m: (page) => page.toComposer(),
}
