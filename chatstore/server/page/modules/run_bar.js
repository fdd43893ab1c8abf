// What is being worked on in a conversation, with the button that stops it; else how the last run ended.

import { button, element } from './dom.js'
import { seconds } from './runs.js'
import { count, duration } from './words.js'

const ENDS = { completed: 'Completed', failed: 'Failed', cancelled: 'Stopped', interrupted: 'Interrupted' }

export class RunBar {
  constructor(bar, { stop }) {
    this._bar = bar
    this._cancel = stop
    this._stopping = new Set()
    this._runs = null
    this._label = element('span')
    this._since = element('span', { class: 'since' })
    this._button = button('Stop', { class: 'stop', title: 'Stop what is running' }, () => this.stop())
    this._active = [element('span', { class: 'pulse', 'aria-hidden': 'true' }), this._label, this._since, this._button]
    setInterval(() => this._count(), 1000)
  }

  show(runs) {
    this._runs = runs
    const running = runs?.running ?? []
    const latest = runs?.latest ?? null
    if (running.length > 0) this._describe(running)
    else this._bar.replaceChildren(...(latest ? ended(latest) : []))
  }

  // Stops what runs; asked for again while that is under way it does nothing.
  async stop() {
    const wanted = (this._runs?.running ?? []).filter((run) => !this._stopping.has(run.id))
    for (const run of wanted) this._stopping.add(run.id)
    this.show(this._runs)
    await Promise.all(wanted.map((run) => this._cancel(run).finally(() => this._stopping.delete(run.id))))
    this.show(this._runs)
  }

  // The same button throughout: made anew between a press and a release it would miss the click.
  _describe(running) {
    const stopping = running.every((run) => this._stopping.has(run.id))
    this._label.textContent = running.length > 1 ? `${running.length} runs` : 'Running'
    this._button.textContent = stopping ? 'Stopping…' : 'Stop'
    this._button.disabled = stopping
    this._count()
    if (!this._button.isConnected) this._bar.replaceChildren(...this._active)
  }

  // A clock that is behind the server's shows no negative time.
  _count() {
    const [first] = this._runs?.running ?? []
    if (first) this._since.textContent = duration(Math.floor(seconds(first, Date.now()))).replace('.0', '')
  }
}

function ended(run) {
  const label = element('span', { class: `ended ended-${run.state}` }, ENDS[run.state] ?? run.state)
  const about = [duration(seconds(run, 0)), ...used(run.usage)].join(' · ')
  const why = run.error ? element('span', { class: 'why', title: run.error.message }, `${run.error.type}: ${run.error.message}`) : null
  return [label, element('span', { class: 'since' }, about), why].filter(Boolean)
}

function used(usage) {
  const tokens = (usage?.input_tokens ?? 0) + (usage?.output_tokens ?? 0)
  return tokens > 0 ? [count(tokens, 'token')] : []
}
