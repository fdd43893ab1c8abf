// Requests to the server that this page came from, and the errors it answers with.

import { segment } from './names.js'

export const BASE = new URL('../../', import.meta.url)
const PATIENCE = 20_000 // for an answer to begin: the browser itself waits for ever, also for a connection that is free

export class ApiError extends Error {
  constructor(status, problem) {
    super(problem.detail || problem.title || `the server answered ${status}`)
    this.name = 'ApiError'
    this.status = status
    this.code = problem.code ?? null
  }
}

export class Api {
  // `refused` is called when the server wants a token that this page does not have, or no longer.
  constructor({ refused = () => {}, fetch = (...given) => globalThis.fetch(...given), socket, base = BASE } = {}) {
    this._refused = refused
    this._fetch = fetch
    this._socket = socket ?? ((url) => new WebSocket(url))
    this._base = base
  }

  address(path, query = {}) {
    const url = new URL(path, this._base)
    for (const [name, value] of Object.entries(query)) {
      for (const one of [value].flat()) if (one !== undefined && one !== null) url.searchParams.append(name, one)
    }
    return url
  }

  // A WebSocket to a path. It sends the page's cookie, so that no token stands in its address.
  socket(path, query) {
    const url = this.address(path, query)
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:'
    return this._socket(url)
  }

  async open(url, options = {}) {
    const response = await this._answer(url, { credentials: 'same-origin', cache: 'no-store', ...options })
    if (response.ok) return response
    if (response.status === 401) this._refused()
    throw new ApiError(response.status, await response.json().catch(() => ({})))
  }

  // Rejects with a TimeoutError when no answer has begun in time.
  async _answer(url, { signal, ...options }) {
    const late = new AbortController()
    const timer = setTimeout(() => late.abort(new DOMException('no answer in time', 'TimeoutError')), PATIENCE)
    const either = signal ? (AbortSignal.any?.([signal, late.signal]) ?? signal) : late.signal
    try {
      return await this._fetch(url, { ...options, signal: either })
    } finally {
      clearTimeout(timer)
    }
  }

  async get(path, query, signal) {
    return (await this.open(this.address(path, query), { signal })).json()
  }

  async post(path, body, headers = {}) {
    const sent = { method: 'POST', body: JSON.stringify(body), headers: { 'content-type': 'application/json', ...headers } }
    return (await this.open(this.address(path), sent)).json()
  }
}

export function contextPath(contextId, rest = '') {
  return `contexts/${segment(contextId)}${rest}`
}
