// Repeats what failed for a passing reason (no network, server away or busy) until it is given up.

import { Backoff } from './backoff.js'

function isPassing(error) {
  return error.name !== 'AbortError' && (error.status === undefined || error.status >= 500 || error.status === 429)
}

export async function persistently(attempt, { signal, failed = () => {}, pause = pauseFor }) {
  const backoff = new Backoff()
  for (;;) {
    try {
      return await attempt()
    } catch (error) {
      if (signal.aborted || !isPassing(error)) throw error
      failed(error)
      await pause(backoff.next(), signal)
    }
  }
}

// Resolves after so many milliseconds, or as soon as the machine is back on a network; rejects when given up.
export function pauseFor(delay, signal) {
  return new Promise((resolve, reject) => {
    const done = (settle) => () => {
      clearTimeout(timer)
      globalThis.removeEventListener?.('online', resume)
      signal.removeEventListener('abort', stop)
      settle()
    }
    const resume = done(resolve)
    const stop = done(() => reject(signal.reason))
    const timer = setTimeout(resume, delay)
    globalThis.addEventListener?.('online', resume)
    signal.addEventListener('abort', stop)
    if (signal.aborted) stop()
  })
}
