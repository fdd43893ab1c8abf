// Text that grows at offsets counted in characters (Unicode code points), held in strings counted in UTF-16 units.

export function characters(text) {
  let pairs = 0
  for (let at = 0; at < text.length; at++) {
    if (isPair(text, at)) {
      pairs++
      at++
    }
  }
  return text.length - pairs
}

// The UTF-16 place of a character; null if the text is shorter.
export function unitAt(text, character) {
  let at = 0
  for (let left = character; left > 0; left--) {
    if (at >= text.length) return null
    at += isPair(text, at) ? 2 : 1
  }
  return at
}

// `text` with `piece` at `offset`, and its length in characters; null where there is a gap before the piece.
// A piece that is there already changes nothing: who joins late may be told again what he has read.
export function spliced({ text, length }, offset, piece) {
  if (offset === length) return { text: text + piece, length: length + characters(piece) }
  if (offset > length) return null
  const start = unitAt(text, offset)
  if (text.startsWith(piece, start)) return { text, length }
  return { text: text.slice(0, start) + piece, length: offset + characters(piece) }
}

function isPair(text, at) {
  const unit = text.charCodeAt(at)
  if (unit < 0xd800 || unit > 0xdbff) return false
  const next = text.charCodeAt(at + 1)
  return next >= 0xdc00 && next <= 0xdfff
}
