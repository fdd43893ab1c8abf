// JSON made readable without touching a token of it: parsed and printed again, large numbers would change.

const DEEPER = new Set(['{', '['])
const HIGHER = new Set(['}', ']'])
const TOKENS = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/gs
const LONGEST = 200_000
const LINE = 72

export function indented(text) {
  return text.length <= LONGEST && isJson(text) ? laidOut(text.match(TOKENS)) : text
}

function isJson(text) {
  if (!/^\s*[{[]/.test(text)) return false
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

function laidOut(tokens) {
  let [depth, out] = [0, '']
  const line = () => `\n${'  '.repeat(depth)}`
  for (let at = 0; at < tokens.length; at++) {
    const token = tokens[at]
    const short = DEEPER.has(token) ? onOneLine(tokens, at) : null
    if (short) {
      out += short.text
      at = short.end
    } else if (DEEPER.has(token)) {
      depth++
      out += token + line()
    } else if (HIGHER.has(token)) {
      depth--
      out += line() + token
    } else out += token === ',' ? token + line() : spaced(token)
  }
  return out
}

// What holds no further lists and is short stays together.
function onOneLine(tokens, start) {
  let text = tokens[start]
  for (let at = start + 1; text.length < LINE; at++) {
    if (DEEPER.has(tokens[at])) return null
    text += spaced(tokens[at])
    if (HIGHER.has(tokens[at])) return { text, end: at }
  }
  return null
}

function spaced(token) {
  return token === ':' || token === ',' ? `${token} ` : token
}
