// The runs of a conversation, and which of them a person would stop.

export class Runs {
  constructor() {
    this._byId = new Map()
  }

  reset(runs) {
    this._byId = new Map()
    for (const run of runs) this.put(run)
  }

  // A run that has ended stays so, whatever comes late.
  put(run) {
    const known = this._byId.get(run.id)
    if (!known || known.state === 'running' || run.state !== 'running') this._byId.set(run.id, run)
  }

  get(id) {
    return this._byId.get(id) ?? null
  }

  // Running, and no part of another run of this conversation that is running: cancelling it cancels its parts.
  get running() {
    const running = [...this._byId.values()].filter((run) => run.state === 'running')
    return running.filter((run) => this._byId.get(run.parent_run_id)?.state !== 'running')
  }

  get latest() {
    return [...this._byId.values()].filter((run) => !this._byId.has(run.parent_run_id)).at(-1) ?? null
  }
}

export function seconds(run, now) {
  const end = run.ended_at === null ? now : Date.parse(run.ended_at)
  return Math.max(0, (end - Date.parse(run.started_at)) / 1000)
}
