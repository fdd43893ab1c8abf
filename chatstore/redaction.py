"""What takes secrets out of text before it is stored, also out of text that comes in pieces.

Text of an open block is held back only while it may be part of a secret: from where a secret would begin, until the
text that follows decides. What stands before a secret (`password=`, `sk-`) is none, and is never held back.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Final, Generic, Protocol, Self, TypeAlias, TypeVar

from chatstore.errors import InvalidInput, RedactionFailed

Redact: TypeAlias = Callable[[str], str]
"""A text as it may be stored."""

REPLACEMENT: Final = "[redacted]"
LONGEST_WORD: Final = 256
"""Characters without white space after which a plain callable gets what there is of an open block's text."""
BEHIND: Final = 128
"""Characters of given text in which the beginning of a match is looked for: more than any `before` below can have."""
LONGEST: Final = 17_000
"""Characters of the longest match of `redact_secrets`, and some more."""
_log = logging.getLogger(__name__)


class Stream(Protocol):
    """The text of one open block on its way into the store."""

    @property
    def held(self) -> int:
        """Characters that are held back."""

    def feed(self, text: str) -> str:
        """Takes a piece, and gives what can be stored by now. Raises RedactionFailed, and has not taken it then."""

    def end(self) -> str:
        """No more comes: what was held back."""


class Finder:
    """Finds matches, of which the last group that matched is the secret, and what may become one with more text.

    `begun` is the same expression for a text that ends within the secret, or where it is not known yet whether the
    secret goes on. Without it everything may be: then the last `hold` characters are not decided.
    """

    def __init__(self, find: str, begun: str | None = None, hold: int = 0) -> None:
        self._patterns = (find, begun)
        self._hold = hold

    # Not before they are needed: they take some milliseconds to compile.
    @cached_property
    def _find(self) -> re.Pattern[str]:
        return re.compile(self._patterns[0])

    @cached_property
    def _begun(self) -> re.Pattern[str] | None:
        return None if self._patterns[1] is None else re.compile(self._patterns[1])

    def match(self, text: str, at: int) -> tuple[int, int, int, int] | None:
        """The next match from a place on: its begin, begin and end of its secret, its end."""
        for found in self._find.finditer(text, at):
            begin, end = found.span(found.lastindex or 0)
            if begin < end:
                return found.start(), begin, end, found.end()
        return None

    def unsure(self, text: str, at: int) -> tuple[int, int] | None:
        """Where the first match from a place on begins that is not decided, and the first secret of such."""
        if self._begun is None:
            start = max(at, len(text) - self._hold)
            return (start, start) if start < len(text) else None
        first: int | None = None
        begin = len(text)
        at = max(at, begin - LONGEST)
        while (found := self._begun.search(text, at)) and (first is None or found.start() < begin):
            first = found.start() if first is None else first
            begin, at = min(begin, found.start(found.lastindex or 0)), found.start() + 1
        return None if first is None else (first, begin)


class Redactor:
    """Replaces what regular expressions match by `[redacted]`, as `ChatStore(…, redact=Redactor([r"EMP-\\d{6}"]))`.

    Where an expression has a group, that alone is replaced. `hold` is the most characters that a match has: the
    text of an open block lags that far behind, so that a match is found wherever it was split. `names` is a regular
    expression too: of `data`, every string below a key that ends with it is replaced as a whole.
    """

    def __init__(self, patterns: Iterable[str], *, hold: int = 64, names: str | None = None) -> None:
        if isinstance(patterns, str) or not 1 <= hold <= LONGEST:
            raise InvalidInput(f"a Redactor takes a list of patterns, and hold= from 1 to {LONGEST:,} characters")
        self._finders = tuple(Finder(_checked(pattern), hold=hold) for pattern in patterns)
        self._names = None if names is None else _checked(names)

    def also(self, patterns: Iterable[str], *, hold: int = 64) -> Redactor:
        """A redactor that replaces all that this one does, and these too."""
        return Redactor(patterns, hold=hold)._with(self._finders, self._names)

    def _with(self, finders: tuple[Finder, ...], names: str | None) -> Self:
        self._finders, self._names = (*finders, *self._finders), names or self._names
        return self

    def __call__(self, text: str) -> str:
        """The text without its secrets."""
        return self._cut(text, 0, 0, final=True)[0]

    def stream(self) -> Stream:
        """The same for text that comes in pieces: together they become what the whole text would."""
        return _Pieces(self._cut)

    def names(self, key: str) -> bool:
        """Whether the strings below this key of `data` are secrets, whatever they say."""
        return self._names is not None and re.search(rf"(?:{self._names})\Z", key) is not None

    def _cut(self, text: str, at: int, given: int, *, final: bool) -> tuple[str, int, int]:
        """What to give of a text that was given up to a place, where the next match may begin, and how far it is
        given then: all of it, if it is `final`."""
        out: list[str] = []
        matches = _Next([finder.match for finder in self._finders], text)
        unsure = _Next([] if final else [finder.unsure for finder in self._finders], text)
        while True:
            found, open = matches.first(at), unsure.first(at)
            if found is None or (open is not None and open[0] <= found[0]):
                break
            _, begin, end, at = found
            if end > given:
                out += [text[given:begin], REPLACEMENT]
                given = end
        end = max(given, min([len(text), *(place[1] for place in (*unsure.known, found) if place is not None)]))
        return "".join([*out, text[given:end]]), at, end


def _checked(pattern: str) -> str:
    try:
        re.compile(pattern)
    except (re.error, TypeError) as error:
        raise InvalidInput(f"{pattern!r} is no regular expression: {error}") from None
    return pattern


P = TypeVar("P", bound=tuple[int, ...])


class _Next(Generic[P]):
    """What several finders find next in a text; each looks again only when its place was passed."""

    def __init__(self, looks: Sequence[Callable[[str, int], P | None]], text: str) -> None:
        self._looks = looks
        self._text = text
        self.known: list[P | None] = [None] * len(looks)
        self._stale = [True] * len(looks)

    def first(self, at: int) -> P | None:
        """The first from a place on."""
        for n, look in enumerate(self._looks):
            if self._stale[n] or ((place := self.known[n]) is not None and place[0] < at):
                self.known[n], self._stale[n] = look(self._text, at), False
        return min(filter(None, self.known), default=None)


class _Pieces:
    """The stream of a Redactor: raw text that is not decided, behind some that was given."""

    def __init__(self, cut: Callable[..., tuple[str, int, int]]) -> None:
        self._cut = cut
        self._text = ""
        self._at = self._given = 0

    @property
    def held(self) -> int:
        return len(self._text) - self._given

    def feed(self, text: str) -> str:
        self._text += text
        out, at, given = self._cut(self._text, self._at, self._given, final=False)
        gone = max(0, given - BEHIND)
        # No match begins where the text was cut: what stood before it cannot be seen any more.
        self._text, self._given, self._at = self._text[gone:], given - gone, max(at - gone, min(gone, 1))
        return out

    def end(self) -> str:
        out, _, _ = self._cut(self._text, self._at, self._given, final=True)
        self._text, self._at, self._given = "", 0, 0
        return out


class _Words:
    """The stream of a plain callable: it gets whole words."""

    def __init__(self, redact: Redact) -> None:
        self._redact = redact
        self._text = ""

    @property
    def held(self) -> int:
        return len(self._text)

    def feed(self, text: str) -> str:
        text = self._text + text
        word = "" if not text or text[-1].isspace() else text.rsplit(None, 1)[-1]
        end = len(text) - (len(word) if len(word) <= LONGEST_WORD else 0)
        out = redacted(self._redact, text[:end])
        self._text = text[end:]
        return out

    def end(self) -> str:
        text, self._text = self._text, ""
        return redacted_or_hidden(self._redact, text)


def stream(redact: Redact) -> Stream:
    """What the text of one open block goes through."""
    return redact.stream() if isinstance(redact, Redactor) else _Words(redact)


def redacted(redact: Redact, text: str) -> str:
    """The text as it may be stored. Raises RedactionFailed."""
    if not text:
        return text
    try:
        found = redact(text)
    except Exception as error:
        raise RedactionFailed(f"redact= raised {type(error).__name__}, and what it was given is not stored") from error
    if not isinstance(found, str):
        raise RedactionFailed(f"redact= returned {type(found).__name__}; it has to return str")
    try:
        found.encode()
    except UnicodeEncodeError as error:
        raise RedactionFailed("redact= returned text that cannot be stored: it has a lone surrogate") from error
    return found


def redacted_or_hidden(redact: Redact, text: str) -> str:
    """The same where something has to be stored, such as the end of a block: `[redacted]` in place of an error."""
    try:
        return redacted(redact, text)
    except RedactionFailed as error:
        _log.warning("text of %d characters is stored as %s: %s", len(text), REPLACEMENT, error)
        return REPLACEMENT


def redacted_json(redact: Redact, value: object) -> object:
    """A JSON value with every string in it redacted; not the keys."""
    if isinstance(value, str):
        return redacted(redact, value)
    if isinstance(value, dict):
        names = redact.names if isinstance(redact, Redactor) else lambda _: False
        return {key: redacted_json(_hide if names(key) else redact, member) for key, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [redacted_json(redact, member) for member in value]
    return value


def _hide(_: str) -> str:
    return REPLACEMENT
