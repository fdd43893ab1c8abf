// What the address of the page says: which conversation is open, and which block of it is meant.

export function read(hash) {
  const given = new URLSearchParams(hash.replace(/^#/, ''))
  return { contextId: given.get('c') || null, blockId: given.get('b') || null }
}

export function written({ contextId, blockId = null }) {
  if (contextId === null) return '#'
  const query = new URLSearchParams({ c: contextId, ...(blockId && { b: blockId }) })
  return `#${query}`
}
