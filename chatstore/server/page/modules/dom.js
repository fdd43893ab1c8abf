// Elements from values. Text becomes text nodes; there is no way from here to HTML that was stored.

const ATTRIBUTES = new Set([
  ...['class', 'id', 'href', 'target', 'rel', 'title', 'start', 'type', 'src', 'alt', 'download', 'loading', 'controls'],
  ...['preload', 'role', 'tabindex', 'datetime', 'open', 'value', 'disabled', 'decoding', 'hidden'],
])

// element('p', {class: 'note'}, 'text', another)
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) set(made, name, value)
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== false))
  return made
}

// A tree of markdown.js as elements.
export function built(node) {
  return typeof node === 'string' ? node : element(node.tag, node.attributes, ...node.children.map(built))
}

export function button(label, attributes, clicked) {
  const made = element('button', { type: 'button', ...attributes }, label)
  made.addEventListener('click', clicked)
  return made
}

export function byId(id) {
  return document.getElementById(id)
}

function set(made, name, value) {
  if (value === null || value === undefined || value === false) return
  if (!ATTRIBUTES.has(name) && !name.startsWith('aria-') && !name.startsWith('data-')) {
    throw new TypeError(`no attribute ${name} is set here`)
  }
  made.setAttribute(name, value === true ? '' : value)
}
