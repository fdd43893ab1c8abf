// Names that nobody else makes up. crypto.randomUUID() is missing where a page comes over plain HTTP from another machine.

export function randomHex(bytes) {
  return Array.from(crypto.getRandomValues(new Uint8Array(bytes)), (byte) => byte.toString(16).padStart(2, '0')).join('')
}
