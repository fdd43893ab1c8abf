// How times, sizes and durations are said.

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' })
const day = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' })
const year = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short', year: 'numeric' })
const whole = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'medium' })

function timeOfDay(time) {
  return clock.format(new Date(time))
}

export function wholeTime(time) {
  return whole.format(new Date(time))
}

export function dayAndTime(time, now) {
  return sameDay(new Date(time), now) ? timeOfDay(time) : `${dayOf(time, now)}, ${timeOfDay(time)}`
}

// As short as it can be: the time today, the day this year.
export function when(time, now) {
  return sameDay(new Date(time), now) ? timeOfDay(time) : dayOf(time, now)
}

export function duration(seconds) {
  if (seconds < 10) return `${seconds.toFixed(1)} s`
  if (seconds < 100) return `${Math.round(seconds)} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 100) return `${minutes} min ${Math.round(seconds % 60)} s`
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}

export function size(bytes) {
  if (bytes < 1000) return `${bytes} B`
  if (bytes < 1_000_000) return `${(bytes / 1000).toFixed(bytes < 10_000 ? 1 : 0)} kB`
  return `${(bytes / 1_000_000).toFixed(1)} MB`
}

export function count(number, noun) {
  return `${number.toLocaleString()} ${noun}${number === 1 ? '' : 's'}`
}

export function shortened(text, most) {
  const line = text.slice(0, most * 4).replace(/\s+/g, ' ').trim()
  const points = Array.from(line)
  return points.length > most ? `${points.slice(0, most - 1).join('')}…` : line
}

function dayOf(time, now) {
  const date = new Date(time)
  return (date.getFullYear() === now.getFullYear() ? day : year).format(date)
}

function sameDay(one, other) {
  return one.toDateString() === other.toDateString()
}
