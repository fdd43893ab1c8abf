// What happens around the page: the network comes and goes, the tab is left and looked at again.

const PATIENCE = 20_000 // a tab that is only glanced away from keeps its connections

// What follows changes joins it: {pause(), resume(), reconnect()}. Nobody looks at a tab that is opened in the background:
// what joins it there is paused until somebody does.
export class Presence {
  constructor() {
    this._followed = new Set()
    this._away = document.visibilityState === 'hidden'
    this._leaving = null
    for (const name of ['online', 'offline']) window.addEventListener(name, () => this.reconnect())
    window.addEventListener('pageshow', (event) => event.persisted && this.reconnect())
    document.addEventListener('visibilitychange', () => this._looked())
  }

  join(one) {
    this._followed.add(one)
    if (this._away) one.pause()
  }

  leave(one) {
    this._followed.delete(one)
  }

  reconnect() {
    for (const one of this._followed) one.reconnect()
  }

  _looked() {
    clearTimeout(this._leaving)
    if (document.visibilityState === 'hidden') this._leaving = setTimeout(() => this._leave(), PATIENCE)
    else this._comeBack()
  }

  _leave() {
    this._away = true
    for (const one of this._followed) one.pause()
  }

  _comeBack() {
    this._away = false
    for (const one of this._followed) one.resume()
  }
}
