// Markdown as a tree of a few harmless elements. What is stored is never parsed as HTML: the tree is made of the
// parser's tokens, and anything but the tags and attributes below stays text.

import MarkdownIt from '../vendor/markdown-it.js'

import { safeAddress } from './links.js'

const TAGS = new Set(
  'p h1 h2 h3 h4 h5 h6 em strong s code pre ul ol li blockquote hr br table thead tbody tr th td'.split(' '),
)
const ALIGNED = { 'text-align:left': 'left', 'text-align:right': 'right', 'text-align:center': 'center' }

const parser = new MarkdownIt({ html: false, linkify: true, typographer: false })
parser.validateLink = (address) => safeAddress(address) !== null

parser.core.ruler.after('inline', 'tasks', ({ tokens }) => {
  for (const [at, token] of tokens.entries()) {
    if (token.type === 'inline' && tokens[at - 2]?.type === 'list_item_open') checkBox(token.children[0])
  }
})

// `[ ]` and `[x]` at the beginning of an item, as GitHub writes a list of tasks.
function checkBox(first) {
  if (first?.type === 'text') first.content = first.content.replace(/^\[([ xX])\](?=\s|$)/, (_, mark) => (mark === ' ' ? '☐' : '☑'))
}

// The top-level blocks of a text: [{line, nodes}], `line` being where the block begins. A node is a string or
// {tag, attributes, children}.
export function parse(text) {
  const blocks = []
  let depth = 0
  for (const token of parser.parse(text, {})) {
    if (depth === 0) blocks.push({ line: token.map?.[0] ?? 0, tokens: [] })
    blocks.at(-1).tokens.push(token)
    depth += token.nesting
  }
  return blocks.map(({ line, tokens }) => ({ line, nodes: tree(tokens) }))
}

// What a text says, without its marks.
export function plainly(text) {
  return parse(text).flatMap((block) => block.nodes).map(said).join(' ')
}

function said(node) {
  if (typeof node === 'string') return node
  const inline = ['em', 'strong', 's', 'code', 'a', 'span'].includes(node.tag)
  return `${inline ? '' : ' '}${node.children.map(said).join('')}${inline ? '' : ' '}`
}

export function link(address, children, title) {
  const safe = safeAddress(address)
  if (safe === null) return { tag: 'span', attributes: { class: 'inert', title: 'a link of a kind that is not opened' }, children }
  const attributes = { href: safe, target: '_blank', rel: 'noopener noreferrer' }
  return { tag: 'a', attributes: title ? { ...attributes, title } : attributes, children }
}

function tree(tokens) {
  const stack = [{ children: [] }]
  for (const token of tokens) {
    const parent = stack.at(-1)
    if (token.nesting === 1) stack.push(opened(token))
    else if (token.nesting === -1) close(stack)
    else parent.children.push(...leaf(token))
  }
  return stack[0].children
}

function opened(token) {
  if (token.type === 'link_open') return { link: token, children: [] }
  if (token.hidden || !TAGS.has(token.tag)) return { children: [] }
  return { tag: token.tag, attributes: attributesOf(token), children: [] }
}

function close(stack) {
  const node = stack.pop()
  const { children } = stack.at(-1)
  if (node.link) children.push(link(node.link.attrGet('href'), node.children, node.link.attrGet('title')))
  else if (node.tag) children.push(node)
  else children.push(...node.children)
}

function leaf(token) {
  const { type, content } = token
  if (type === 'inline') return tree(token.children)
  if (type === 'image') return [picture(token)]
  if (type === 'softbreak' || type === 'hardbreak') return [{ tag: 'br', attributes: {}, children: [] }]
  if (type === 'hr') return [{ tag: 'hr', attributes: {}, children: [] }]
  if (type === 'code_inline') return [{ tag: 'code', attributes: {}, children: [content] }]
  if (type === 'fence' || type === 'code_block') return [code(content, token.info.trim().split(/\s+/)[0])]
  return content ? [content] : []
}

// Pictures of other hosts are not loaded: that would tell them who reads this.
function picture(token) {
  return link(token.attrGet('src'), [`🖼 ${token.content || 'image'}`], token.attrGet('title'))
}

function code(content, language) {
  const children = [{ tag: 'code', attributes: {}, children: [content.replace(/\n$/, '')] }]
  return { tag: 'pre', attributes: language ? { 'data-language': language } : {}, children }
}

function attributesOf(token) {
  const start = Number(token.attrGet('start'))
  const side = ALIGNED[token.attrGet('style')]
  return { ...(start > 1 && { start: String(start) }), ...(side && { class: side }) }
}
