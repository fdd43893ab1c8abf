// Choices that outlive the page; a browser that refuses to keep them loses nothing else.

export function kept(name, otherwise) {
  try {
    return localStorage.getItem(`chatstore.${name}`) ?? otherwise
  } catch {
    return otherwise
  }
}

export function keep(name, value) {
  try {
    localStorage.setItem(`chatstore.${name}`, value)
  } catch {
    // Private windows may refuse; the choice holds until the page is left.
  }
}
