// Which addresses in stored text become links: those that open a page or a letter, and nothing that runs.

const SCHEMES = new Set(['http:', 'https:', 'mailto:'])

// The address if it is whole and of such a scheme, else null. The browser's own parser judges, as it will on a click.
export function safeAddress(address) {
  if (typeof address !== 'string') return null
  try {
    return SCHEMES.has(new URL(address).protocol) ? address : null
  } catch {
    return null
  }
}

// A picture given in its own address, of a kind that cannot hold a script.
export function isInlineImage(address) {
  return typeof address === 'string' && /^data:image\/(?:png|jpeg|gif|webp);base64,/i.test(address)
}
