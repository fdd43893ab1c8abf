// The parts of the page that need no document, in Node's own test runner.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { Backoff, LONGEST } from '../../chatstore/server/page/modules/backoff.js'
import { grown, merged, received, shows } from '../../chatstore/server/page/modules/blocks.js'
import { Contexts, Filter } from '../../chatstore/server/page/modules/contexts.js'
import { EventParser } from '../../chatstore/server/page/modules/event_stream.js'
import { characters, spliced, unitAt } from '../../chatstore/server/page/modules/growing_text.js'
import { indented } from '../../chatstore/server/page/modules/json_text.js'
import { isInlineImage, safeAddress } from '../../chatstore/server/page/modules/links.js'
import { parse } from '../../chatstore/server/page/modules/markdown.js'
import { read, written } from '../../chatstore/server/page/modules/places.js'
import { Runs } from '../../chatstore/server/page/modules/runs.js'
import { Search } from '../../chatstore/server/page/modules/search.js'
import { Span } from '../../chatstore/server/page/modules/span.js'
import { Watchdog } from '../../chatstore/server/page/modules/watchdog.js'

const EMOJI = ['a', 'é', '🙂', '👩‍👩‍👧', '中', '𝒳', '\n', 'x']

function block(index, fields = {}) {
  const own = { id: `b${index}`, index, type: 'message', role: 'assistant', internal: false, text: '', state: 'closed', tags: [] }
  return { ...own, cursor: `c-${index}`, ...fields }
}

// A generator of numbers that fails the same way every time (mulberry32).
function seeded(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}

test('events are the same however the stream is cut', () => {
  const stream = 'retry: 1000\n\nid: c1\nevent: block_added\ndata: {"a":"é🙂"}\n\n: ping\n\nid: c2\nevent: heartbeat\ndata:\n\ndata: one\ndata:two\n\n'
  const whole = new EventParser().push(stream)
  assert.deepEqual(whole, [
    { id: 'c1', event: 'block_added', data: '{"a":"é🙂"}' },
    { id: 'c2', event: 'heartbeat', data: '' },
    { id: null, event: 'message', data: 'one\ntwo' },
  ])
  const random = seeded(1)
  for (let round = 0; round < 200; round++) {
    const [parser, found] = [new EventParser(), []]
    for (let at = 0; at < stream.length; ) {
      const next = at + 1 + Math.floor(random() * 9)
      found.push(...parser.push(stream.slice(at, next)))
      at = next
    }
    assert.deepEqual(found, whole)
  }
})

test('an event that was cut off is not handed out', () => {
  assert.deepEqual(new EventParser().push('id: c1\ndata: {"half"'), [])
})

test('characters are counted as the store counts them', () => {
  for (const text of [...EMOJI, EMOJI.join(''), '\ud800', 'a\udc00b', '']) {
    assert.equal(characters(text), Array.from(text).length)
    for (let at = 0; at <= characters(text); at++) {
      assert.equal(unitAt(text, at), Array.from(text).slice(0, at).join('').length)
    }
    assert.equal(unitAt(text, characters(text) + 1), null)
  }
})

test('text told in pieces, again and from before, ends as it is stored', () => {
  const random = seeded(2)
  const pick = (list) => list[Math.floor(random() * list.length)]
  for (let round = 0; round < 500; round++) {
    const points = Array.from({ length: 30 }, () => pick(EMOJI)).flatMap((one) => Array.from(one))
    let known = { text: '', length: 0 }
    for (let sent = 0; sent < points.length; ) {
      const from = random() < 0.3 ? Math.floor(random() * (known.length + 1)) : known.length
      sent = Math.max(sent, Math.min(points.length, from + 1 + Math.floor(random() * 5)))
      known = spliced(known, from, points.slice(from, sent).join('')) ?? known
      assert.equal(known.length, Array.from(known.text).length)
    }
    assert.equal(known.text, points.join(''))
  }
})

test('a piece behind a gap is not put anywhere', () => {
  assert.equal(spliced({ text: '🙂', length: 1 }, 2, 'x'), null)
  assert.equal(grown(received(block(0, { state: 'open' })), { offset: 1, text: 'x' }), null)
})

test('what comes late takes nothing back from a block', () => {
  const open = received(block(0, { state: 'open', text: 'Hello' }))
  const ended = received(block(0, { text: 'Hello 🙂' }))
  assert.equal(merged(ended, block(0, { state: 'open' })), ended)
  assert.equal(merged(open, block(0, { state: 'open', text: 'He' })).text, 'Hello')
  assert.equal(merged(open, block(0, { text: 'Hello 🙂' })).state, 'closed')
  assert.equal(grown(ended, { offset: 0, text: 'Other' }), ended)
  assert.equal(merged(open, block(0, { state: 'open', text: 'He', tags: ['new'] })).tags[0], 'new')
})

test('a transcript shows what the person saw', () => {
  assert.ok(shows('transcript', block(0)))
  assert.ok(shows('transcript', block(0, { role: 'user' })))
  for (const other of [{ role: 'system' }, { internal: true }, { type: 'status', role: null }]) {
    assert.ok(!shows('transcript', block(0, other)))
    assert.ok(shows('trace', block(0, other)))
  }
})

test('a span stays unbroken, whatever comes and in whatever order', () => {
  const span = new Span()
  span.reset([10, 11, 12].map((index) => block(index)), { older: true, newer: false })
  assert.equal(span.put(block(9)), 'outside')
  assert.equal(span.put(block(14)), 'added')
  assert.equal(span.put(block(13)), 'added')
  assert.equal(span.put(block(11, { text: 'new' })), 'changed')
  assert.equal(span.prepend([8, 9, 10].map((index) => block(index)), false).length, 2)
  assert.deepEqual(span.blocks.map((one) => one.index), [8, 9, 10, 11, 12, 13, 14])
  assert.equal(span.get('b11').text, 'new')
  span.reset([block(3)], { older: true, newer: true })
  assert.equal(span.put(block(4)), 'outside')
  assert.equal(span.append([block(4), block(5)], false).length, 2)
  assert.equal(span.put(block(6)), 'added')
})

test('a run that ended stays so, and parts of a running run are stopped with it', () => {
  const runs = new Runs()
  const run = (id, state, parent = null) => ({ id, state, parent_run_id: parent })
  runs.reset([run('r1', 'completed'), run('r2', 'running'), run('r3', 'running', 'r2')])
  runs.put(run('r1', 'running'))
  assert.deepEqual(runs.running.map((one) => one.id), ['r2'])
  runs.put(run('r2', 'cancelled'))
  assert.deepEqual(runs.running.map((one) => one.id), ['r3'])
  assert.equal(runs.latest.id, 'r2')
})

test('a silent connection and a sleep are noticed, and nothing else', () => {
  const dog = new Watchdog(0)
  assert.equal(new Watchdog(0).tick(8_001), 'silent')
  dog.heard(0)
  for (let now = 1000; now <= 40_000; now += 1000) assert.equal(dog.tick(now), null)
  assert.equal(dog.tick(41_000), 'silent')
  dog.heard(41_000)
  assert.equal(dog.tick(42_000), null)
  assert.equal(dog.tick(42_000 + 3_600_000), 'slept')
  assert.equal(new Watchdog(100_000).tick(5), 'slept')
})

test('attempts come less often, up to a limit, until one succeeds', () => {
  const backoff = new Backoff(() => 1)
  const waits = Array.from({ length: 9 }, () => backoff.next())
  assert.deepEqual(waits.slice(0, 4), [250, 500, 1000, 2000])
  assert.equal(waits.at(-1), LONGEST)
  backoff.reset()
  assert.equal(backoff.next(), 250)
})

test('JSON is laid out without a change to any of its tokens', () => {
  const text = '{"id":12345678901234567890,"f":1.0e400,"s":"a\\"{[,:\\u00e9 ","l":[1,[],{}],"n":null}'
  assert.equal(indented(text).replace(/\n\s*/g, '').replaceAll(': ', ':').replaceAll(', ', ','), text)
  assert.ok(indented(text).includes('\n  "id": 12345678901234567890,\n'))
  for (const other of ['no JSON', '{"half":', '12', '"x"', '']) assert.equal(indented(other), other)
})

test('only addresses that open a page or a letter are links', () => {
  for (const safe of ['https://a.b/c?d#e', 'http://a.b', 'mailto:a@b.c']) assert.equal(safeAddress(safe), safe)
  const unsafe = ['javascript:alert(1)', ' javascript:alert(1)', 'java\nscript:alert(1)', 'JaVaScRiPt:x', 'data:text/html,x', 'vbscript:x', 'file:///etc', 'blob:x', '/relative', '//host', '', null, undefined]
  for (const address of unsafe) assert.equal(safeAddress(address), null, String(address))
  assert.ok(isInlineImage('data:image/png;base64,AA'))
  for (const other of ['data:image/svg+xml;base64,AA', 'data:text/html,x', 'https://a.b/c.png', null]) assert.ok(!isInlineImage(other))
})

const TAGS = new Set('p h1 h2 h3 h4 h5 h6 em strong s code pre ul ol li blockquote hr br table thead tbody tr th td a span'.split(' '))
const ATTRIBUTES = new Set(['href', 'target', 'rel', 'title', 'class', 'start', 'data-language'])

function checkTree(node) {
  if (typeof node === 'string') return
  assert.ok(TAGS.has(node.tag), node.tag)
  for (const [name, value] of Object.entries(node.attributes)) {
    assert.ok(ATTRIBUTES.has(name), name)
    if (name !== 'href') continue
    assert.match(value, /^(https?|mailto):/i)
    assert.equal(node.attributes.rel, 'noopener noreferrer')
    assert.equal(node.attributes.target, '_blank')
  }
  node.children.forEach(checkTree)
}

function textOf(node) {
  return typeof node === 'string' ? node : node.children.map(textOf).join('')
}

test('Markdown gives harmless elements only, whatever it is made of', () => {
  const pieces = ['<script>alert(1)</script>', '<img src=x onerror=alert(1)>', '[x](javascript:alert(1))', '[x](data:text/html,1)', '![y](http://h/p.png)', '<http://a.b>', '<javascript:x>', '[r][1]', '\n[1]: javascript:x\n', '`c`', '```js\nx\n```', '\n', '# ', '- ', '> ', '|a|b|\n|:-|-:|\n|1|2|', '**', '_', '~~', '\\', '&lt;', '🙂', 'http://a.b/?q="x', '<svg onload=alert(1)>', '<a href="javascript:x">', '3. ']
  const random = seeded(3)
  for (let round = 0; round < 2_000; round++) {
    const text = Array.from({ length: 12 }, () => pieces[Math.floor(random() * pieces.length)]).join(random() < 0.5 ? '' : '\n')
    for (const one of parse(text)) one.nodes.forEach(checkTree)
  }
})

test('HTML in Markdown is text, and pictures are links', () => {
  const [{ nodes }] = parse('<b onclick="x">hi</b> ![alt](https://h/p.png "t")')
  assert.equal(textOf(nodes[0]), '<b onclick="x">hi</b> 🖼 alt')
  assert.equal(nodes[0].children.at(-1).tag, 'a')
})

test('a filter goes by words and by keys', () => {
  const contexts = new Contexts()
  const context = (id, updated, keys) => ({ context_id: id, keys, tags: [], count: 1, updated_at: updated })
  contexts.put(context('one', '2026-01-01T00:00:00Z', { user: 'u1' }))
  contexts.put(context('two', '2026-01-01T00:00:00.5Z', { user: 'u2' }))
  const ids = (typed) => contexts.list(new Filter(typed)).map((one) => one.context_id)
  assert.deepEqual(ids(''), ['two', 'one'])
  assert.deepEqual(ids('user:u1'), ['one'])
  assert.deepEqual(new Filter('user:u1 word').keys, ['user:u1'])
  contexts.apply({ change: 'block_added', context_id: 'one', block: block(4, { updated_at: '2026-01-02T00:00:00Z', text: 'Refund, please' }) })
  assert.deepEqual(ids(''), ['one', 'two'])
  assert.deepEqual(ids('REFUND'), ['one'])
  assert.equal(contexts.get('one').count, 5)
  assert.equal(contexts.apply({ change: 'run_started', context_id: 'three', run: { id: 'r', state: 'running' } }), false)
})

// A list of `many` conversations in pages of two, each with `texts` in pages of one; how far a search of them came.
function searched(many, texts, typed, { most = Infinity } = {}) {
  const contexts = new Contexts()
  const all = Array.from({ length: many }, (_, at) => ({ context_id: `c${at}`, keys: null, tags: [], count: 1, updated_at: `2026-01-01T00:00:${10 + at}Z` }))
  const asked = { lists: 0, pages: [], most }
  const list = async (after) => {
    asked.lists++
    const from = all.findIndex((one) => one.context_id === after) + 1
    for (const context of all.slice(from, from + 2)) contexts.put(context)
    return from + 2 < many ? all[from + 1].context_id : null
  }
  const read = async (id, { after }, signal) => {
    asked.pages.push(id)
    if (asked.pages.length >= asked.most) search.stop()
    signal.throwIfAborted()
    const at = after ? Number(after) + 1 : 0
    return { messages: [{ cursor: String(at), text: texts(id)[at] }], more: at + 1 < texts(id).length }
  }
  const filter = new Filter(typed)
  const search = new Search(contexts, { list, read, told: () => {} })
  return { search, asked, contexts, filter, found: () => contexts.list(filter).map((one) => one.context_id) }
}

async function settled(search) {
  while (search.state === 'busy') await new Promise(setImmediate)
}

test('a search reads the list to its end and the texts until the words were seen', async () => {
  const { search, asked, filter, found } = searched(5, (id) => (id === 'c0' ? ['first', 'a NEEDLE', 'hay'] : ['hay', 'needle']), 'needle hay')
  search.start(filter)
  await settled(search)
  assert.equal(search.state, 'done')
  assert.deepEqual(found(), ['c4', 'c3', 'c2', 'c1', 'c0'])
  assert.deepEqual([asked.lists, search.read, search.of], [3, 5, 5])
  const none = searched(3, () => ['hay'], 'needle')
  none.search.start(none.filter)
  await settled(none.search)
  assert.deepEqual([none.search.state, none.found()], ['done', []])
  none.search.heard('c1', { text: 'The Needle' })
  assert.deepEqual(none.found(), ['c1'])
})

test('a search that was stopped goes on from there, and another filter begins anew', async () => {
  const { search, asked, filter, found } = searched(9, () => ['hay', 'needle'], 'needle', { most: 8 })
  search.start(filter)
  await settled(search)
  assert.equal(search.state, 'stopped')
  const [some, pages] = [found().length, asked.pages.length]
  assert.ok(some > 0 && some < 9)
  asked.pages = []
  asked.most = Infinity
  search.goOn()
  await settled(search)
  assert.deepEqual([search.state, search.read, found().length], ['done', 9, 9])
  assert.ok(pages + asked.pages.length < 18 + 6, 'only what was being read is read again')
  search.start(new Filter(''))
  assert.deepEqual([search.state, search.read], ['idle', 0])
})

test('an address names any conversation and block', () => {
  for (const contextId of ['plain', 'a b&c=d#e', '🙂/..', '%2F+']) {
    assert.deepEqual(read(written({ contextId, blockId: 'b1' })), { contextId, blockId: 'b1' })
    assert.deepEqual(read(written({ contextId })), { contextId, blockId: null })
  }
  assert.deepEqual(read('#'), { contextId: null, blockId: null })
})
