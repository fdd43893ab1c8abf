"""Stored text made safe to print: nothing in it acts on a terminal, and nothing in it is hidden.

A terminal obeys control characters (C0, DEL, and C1, whose U+009B starts a sequence as ESC [ does), and lays text
out by the bidirectional controls, with which a line can read as another (https://trojansource.codes). They are
shown as visible signs instead, and so are other characters that are not drawn.
"""

from __future__ import annotations

import json
import os
import shlex
import unicodedata
from collections.abc import Callable
from typing import Final

_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# Of the format characters these are needed to spell, or are drawn: joiners, and signs that enclose digits.
_SPELLING: Final = frozenset("\u200c\u200d\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd") | frozenset(
    map(chr, range(0x600, 0x606))
)
_LAYOUT: Final = frozenset("\n\t")


class _Table(dict[int, str]):
    """A table for `str.translate` that decides about a character when it is first met."""

    def __init__(self, escape: Callable[[str], str], kept: frozenset[str]) -> None:
        super().__init__()
        self._escape = escape
        self._kept = kept

    def __missing__(self, code: int) -> str:
        character = chr(code)
        harmless = character in self._kept or unicodedata.category(character) not in _CATEGORIES
        self[code] = character if harmless else self._escape(character)
        return self[code]


def _sign(character: str) -> str:
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)  # the block of pictures for the control codes, in their order
    return "\u2421" if code == 0x7F else f"<U+{code:04X}>"


def _json_escape(character: str) -> str:
    return json.dumps(character)[1:-1] if character != "\x7f" else "\\u007f"


_TEXT = _Table(_sign, _SPELLING | _LAYOUT)
_LINE = _Table(_sign, _SPELLING)
_JSON = _Table(_json_escape, _SPELLING)


def printable(text: str) -> str:
    """Text of many lines: line breaks and tabs stay, every other control is shown as a sign."""
    return text if text.isprintable() else text.replace("\r\n", "\n").translate(_TEXT)


def one_line(text: str) -> str:
    """Text that stays on its line: a name, an id, a message."""
    return text if text.isprintable() else text.translate(_LINE)


def json_line(value: object, *, ascii_only: bool = False) -> str:
    """A value as JSON on one line. What could act on a terminal is escaped as JSON escapes it, and reads back equal."""
    text = json.dumps(value, ensure_ascii=ascii_only, separators=(",", ":"))
    return text if text.isprintable() else text.translate(_JSON)


def shell_word(text: str) -> str:
    """Text as one word of a shell command, to be pasted; with controls in it as bash and zsh spell those."""
    if text.isprintable() or one_line(text) == text:
        return shlex.quote(text)
    escaped = (
        chr(byte) if 0x20 <= byte < 0x7F and byte not in b"'\\" else f"\\x{byte:02x}" for byte in os.fsencode(text)
    )
    return f"$'{''.join(escaped)}'"
