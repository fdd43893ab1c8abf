// How a context id stands in a path: itself where it is plain, else "~" and base64url of its UTF-8.

const PLAIN = /^[A-Za-z0-9_][A-Za-z0-9_.@:-]*$/

export function segment(contextId) {
  return PLAIN.test(contextId) ? contextId : `~${base64url(new TextEncoder().encode(contextId))}`
}

function base64url(bytes) {
  const binary = Array.from(bytes, (byte) => String.fromCharCode(byte)).join('')
  return btoa(binary).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
}
