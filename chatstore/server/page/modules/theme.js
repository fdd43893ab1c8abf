// Light or dark: as the system has it, unless it is chosen here.

import { keep, kept } from './settings.js'

const NEXT = { auto: 'light', light: 'dark', dark: 'auto' }
const MARKS = { auto: '◐', light: '☀', dark: '☾' }

export function startTheme(button) {
  const show = (theme) => {
    document.documentElement.dataset.theme = theme
    button.textContent = MARKS[theme]
    button.title = `Colours: ${theme === 'auto' ? 'as the system' : theme}`
    button.setAttribute('aria-label', button.title)
  }
  button.addEventListener('click', () => {
    const theme = NEXT[document.documentElement.dataset.theme] ?? 'auto'
    keep('theme', theme)
    show(theme)
  })
  show(kept('theme', 'auto'))
}
