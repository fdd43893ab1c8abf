// Server-sent events, taken apart as they arrive in pieces cut anywhere.

export class EventParser {
  constructor() {
    this._rest = ''
    this._clear()
  }

  // The events that this piece completes: {id, event, data}; id is null where the event has none.
  push(piece) {
    const lines = (this._rest + piece).split('\n')
    this._rest = lines.pop()
    const events = []
    for (const line of lines) {
      const event = this._take(line.endsWith('\r') ? line.slice(0, -1) : line)
      if (event) events.push(event)
    }
    return events
  }

  _take(line) {
    if (line === '') return this._dispatch()
    const colon = line.indexOf(':')
    if (colon === 0) return null
    const field = colon < 0 ? line : line.slice(0, colon)
    const value = colon < 0 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1)
    if (field === 'data') this._data.push(value)
    else if (field === 'event') this._event = value
    else if (field === 'id' && !value.includes('\0')) this._id = value
    return null
  }

  _dispatch() {
    const seen = this._id !== null || this._data.length > 0
    const event = seen ? { id: this._id, event: this._event, data: this._data.join('\n') } : null
    this._clear()
    return event
  }

  _clear() {
    this._id = null
    this._event = 'message'
    this._data = []
  }
}
