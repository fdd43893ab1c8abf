"""Text that is printed as it grows, below the line that says what it is.

In a terminal it is wrapped at words as a finished text is: a word that turns out too long for its line is taken back
and goes on the next. In a pipe every piece is appended as it is.
"""

from __future__ import annotations

from typing import Final

from rich.cells import cell_len

from chatstore.cli.render import INDENT, wrapped
from chatstore.cli.safe import printable

_MARGIN: Final = " " * INDENT


class GrowingText:
    """Makes of each piece what is to be written for it; nothing in a piece can act, nor in what two pieces make.

    `head`: what stands on its first line behind the margin already; None where nothing does.
    """

    def __init__(self, head: str | None = None) -> None:
        self._line = self._shown = head or ""
        self._begun = head is not None
        self._held = ""

    def add(self, piece: str, width: int | None) -> str:
        """What the piece adds, for a terminal's width or for None, a pipe."""
        text = self._held + piece
        # A carriage return is part of a line break if a line feed follows, and a control if not.
        self._held = "\r" if text.endswith("\r") else ""
        first, *others = printable(text.removesuffix("\r")).split("\n")
        return self._go_on(first, width) + "".join(self._break() + self._go_on(line, width) for line in others)

    def end(self, width: int | None) -> str:
        """What ends the text: after it a new line begins."""
        held, self._held = self._held, ""
        rest = self._go_on(printable(held), width)
        return f"{rest}\n" if self._begun else rest

    def _break(self) -> str:
        self._line = self._shown = ""
        self._begun = False
        return "\n"

    def _go_on(self, words: str, width: int | None) -> str:
        if not words:
            return ""
        margin = "" if self._begun else _MARGIN
        self._begun = True
        return margin + (words if width is None else self._fitted(words, width))

    def _fitted(self, words: str, width: int) -> str:
        whole = (self._line + words).expandtabs(8)
        first, *others = wrapped(whole, width) or [""]
        added = first[len(self._shown) :]
        if len(first) < len(self._shown):
            added = f"\x1b[{INDENT + cell_len(first) + 1}G\x1b[K"
        self._shown = others[-1] if others else first
        # Blanks for which the line has no room are not shown, but still part one word from the next.
        self._line = self._shown.rstrip(" ") + whole[len(whole.rstrip(" ")) :][:width]
        return added + "".join(f"\n{_MARGIN}{line}" for line in others)
