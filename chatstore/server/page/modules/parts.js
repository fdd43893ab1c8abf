// Images, audio and files of a block. What lies in the store is shown; what lies elsewhere is only linked.

import { element } from './dom.js'
import { isInlineImage, safeAddress } from './links.js'
import { size } from './words.js'

const IMAGES = new Set(['image/png', 'image/jpeg', 'image/gif', 'image/webp'])

export function partsOf(block, shown) {
  const made = block.parts.map((part) => partOf(part, block, shown))
  return made.length > 0 ? [element('div', { class: 'parts' }, ...made)] : []
}

function partOf(part, block, { partAddress }) {
  if (part.type === 'text') return element('div', { class: 'text plain' }, part.text ?? '')
  if (part.digest) return stored(part, partAddress(block.id, part.digest))
  if (part.type === 'image' && isInlineImage(part.url)) return image(part, part.url)
  return elsewhere(part)
}

function stored(part, address) {
  if (part.type === 'image' && IMAGES.has(part.mime_type)) return image(part, address)
  if (part.type === 'audio') return audio(part, address)
  return element('a', { class: 'file', href: address, download: part.name ?? '' }, ...described(part))
}

function image(part, address) {
  const alt = part.text ?? part.name ?? 'image'
  const shown = element('img', { src: address, alt, loading: 'lazy', decoding: 'async' })
  if (!part.digest) return shown
  return element('a', { class: 'image', href: address, target: '_blank', rel: 'noopener', title: part.name ?? 'Open the image' }, shown)
}

function audio(part, address) {
  const player = element('audio', { src: address, controls: true, preload: 'none', 'aria-label': part.name ?? 'audio' })
  return element('figure', { class: 'audio' }, player, element('figcaption', {}, ...described(part)))
}

function elsewhere(part) {
  const safe = safeAddress(part.url)
  if (safe === null) return element('span', { class: 'file inert' }, ...described(part))
  return element('a', { class: 'file', href: safe, target: '_blank', rel: 'noopener noreferrer' }, ...described(part), element('span', { class: 'where' }, safe))
}

function described(part) {
  const about = [part.mime_type, part.size === null ? null : size(part.size)].filter(Boolean).join(' · ')
  return [element('span', { class: 'name' }, part.name ?? part.type), element('span', { class: 'about' }, about)]
}
