// Joins the parts of the page.

import { Announcer } from './announcer.js'
import { Api, BASE, contextPath } from './api.js'
import { Composer } from './composer.js'
import { Connection } from './connection.js'
import { ConversationView } from './conversation_view.js'
import { Directory } from './directory.js'
import { byId, element } from './dom.js'
import { Gate } from './gate.js'
import { startKeys } from './keys.js'
import { ListView, titleOf } from './list_view.js'
import { read, written } from './places.js'
import { Presence } from './presence.js'
import { randomHex } from './random_hex.js'
import { keep, kept } from './settings.js'
import { stepInBlocks, stepInList, toBlocks, unfold } from './stepping.js'
import { startTheme } from './theme.js'
import { count } from './words.js'

const say = new Announcer(byId('said'))
const gate = new Gate()
const api = new Api({ refused: () => gate.showUnasked() })
const choices = { kind: kept('kind', 'trace'), raw: kept('raw', 'false') === 'true' }

const presence = new Presence()
const connection = new Connection(byId('connection'), { retry: () => presence.reconnect(), say: (text) => say.say(text) })
const directory = new Directory(api, presence, {
  told: () => {
    list.draw()
    describe()
  },
  state: (state) => connection.set('directory', state),
})
const list = new ListView(byId('list'), byId('list-scroller'), directory, byId('list-note'), { askToken: () => gate.show() })
const view = new ConversationView(api, presence, choices, {
  say,
  state: (state) => connection.set('conversation', state),
  context: describe,
  problem: (text) => showProblem(text),
})
const composer = new Composer({ send })

async function send(contextId, text, key) {
  const draft = { type: 'message', role: 'user', text }
  await api.post(contextPath(contextId, '/messages'), draft, { 'idempotency-key': key })
  if (view.contextId === contextId) view.toEnd()
}

// The head of the conversation, from what the list knows of it.
function describe() {
  const id = view.contextId
  const context = id === null ? null : directory.contexts.get(id)
  const title = context ? titleOf(context) : (id ?? '')
  byId('title').textContent = title
  byId('title').title = id ?? ''
  document.title = title ? `${title} · chatstore` : 'chatstore'
  const keys = Object.entries(context?.keys ?? {}).map(([name, value]) => `${name}:${value}`)
  const tags = (context?.tags ?? []).map(({ kind, name }) => `${kind}:${name}`)
  const chips = [...keys, ...tags].map((text) => element('span', { class: 'chip' }, text))
  byId('about').replaceChildren(...chips, element('span', { class: 'amount' }, context ? count(context.count, 'block') : ''))
}

let hiding = null
function showProblem(text) {
  byId('problem').textContent = text
  byId('problem').hidden = false
  clearTimeout(hiding) // of the one before, which would take this one away early
  hiding = setTimeout(() => {
    byId('problem').hidden = true
  }, 6000)
}

function go() {
  const { contextId, blockId } = read(location.hash)
  document.body.classList.toggle('has-conversation', contextId !== null)
  byId('welcome').hidden = contextId !== null
  byId('conversation').hidden = contextId === null
  const changed = contextId !== view.contextId
  if (contextId === null) view.close()
  else view.open(contextId, blockId)
  if (changed && contextId !== null) composer.open(contextId)
  list.setOpen(contextId)
  describe()
}

function showChoices() {
  for (const kind of ['transcript', 'trace']) byId(`kind-${kind}`).setAttribute('aria-pressed', String(choices.kind === kind))
  byId('raw').setAttribute('aria-pressed', String(choices.raw))
}

function chooseKind(kind) {
  if (kind === choices.kind) return
  view.showKind(kind)
  keep('kind', kind)
  showChoices()
}

function chooseRaw(raw) {
  view.showRaw(raw)
  keep('raw', String(raw))
  showChoices()
}

// What is typed is applied when the typing rests.
let typing = null
function filterBy(typed) {
  clearTimeout(typing)
  typing = setTimeout(() => {
    list.filtered()
    directory.setFilter(typed)
  }, 250)
}

function startNew() {
  location.hash = written({ contextId: `chat-${randomHex(8)}` })
  composer.focus()
}

startTheme(byId('theme'))
byId('kind-transcript').addEventListener('click', () => chooseKind('transcript'))
byId('kind-trace').addEventListener('click', () => chooseKind('trace'))
byId('raw').addEventListener('click', () => chooseRaw(!choices.raw))
byId('filter').addEventListener('input', (event) => filterBy(event.target.value))
byId('new').addEventListener('click', startNew)
byId('back').addEventListener('click', () => (location.hash = '#'))
byId('skip').addEventListener('click', () => byId('scroller').focus())
byId('help-open').addEventListener('click', () => byId('help').showModal())
byId('help-close').addEventListener('click', () => byId('help').close())
window.addEventListener('hashchange', go)
startKeys({
  clearFilter: () => {
    byId('filter').value = ''
    filterBy('')
    stepInList(list, 0)
  },
  toFilter: () => byId('filter').select(),
  toList: (open) => {
    stepInList(list, 0)
    if (open) document.activeElement.click()
    return true
  },
  toBlocks: () => toBlocks(view),
  toComposer: () => view.contextId !== null && composer.focus(),
  stepInList: (step) => stepInList(list, step),
  stepInBlocks: (step) => stepInBlocks(view, step),
  unfold,
  toStart: () => view.toStart(),
  toEnd: () => view.toEnd(),
  otherKind: () => chooseKind(choices.kind === 'trace' ? 'transcript' : 'trace'),
  otherRendering: () => chooseRaw(!choices.raw),
  help: () => byId('help').showModal(),
})
showChoices()
if (new URLSearchParams(location.search).has('refused')) {
  history.replaceState(null, '', `${BASE.pathname}${location.hash}`)
  gate.showRefused()
}
go()
