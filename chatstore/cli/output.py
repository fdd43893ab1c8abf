"""Standard output, piece by piece: each is written and flushed as one before the next is made."""

from __future__ import annotations

import codecs
import errno
import sys
from typing import Any

from rich.console import Console, RenderableType
from rich.text import Text

from chatstore.cli.safe import json_line


class Output:
    """Prints for a terminal in colour, for a pipe plainly; NO_COLOR and FORCE_COLOR are heeded."""

    def __init__(self) -> None:
        self._encoding = sys.stdout.encoding or "ascii"
        self._console = Console(highlight=False, markup=False, emoji=False, legacy_windows=False)

    @property
    def width(self) -> int | None:
        """Columns to fit into; None: lines may be of any length."""
        return self._console.width if self._console.is_terminal else None

    def text(self, text: Text, *, end: str = "\n") -> None:
        """Prints text, which is fitted and safe already."""
        self.write((self._rendered(text) if self._console.is_terminal else text.plain) + end)

    def line(self, line: str) -> None:
        """Prints one line without colours."""
        self.write(f"{line}\n")

    def show(self, renderable: RenderableType) -> None:
        """Prints a table or the like, in a terminal's width."""
        with self._console.capture() as capture:
            self._console.print(renderable)
        self.write(capture.get())

    def json(self, value: Any) -> None:
        """Prints a value as one line of JSON."""
        # What `write` does with characters that an encoding lacks is no JSON; JSON's own escapes read back equal.
        utf8 = codecs.lookup(self._encoding).name == "utf-8"
        self.write(f"{json_line(value, ascii_only=not utf8)}\n")

    def write(self, text: str) -> None:
        """Prints text as it is, and flushes it."""
        # Not by way of the text layer: under PYTHONUNBUFFERED it drops the rest when a signal cuts a write short.
        stream, rest = sys.stdout.buffer, memoryview(text.encode(self._encoding, "backslashreplace"))
        while rest:
            written = stream.write(rest)
            if written is None:
                raise BlockingIOError(errno.EAGAIN, "standard output does not wait for its reader")
            rest = rest[written:]
        stream.flush()

    def _rendered(self, text: Text) -> str:
        with self._console.capture() as capture:
            self._console.print(text, soft_wrap=True, end="")
        return capture.get()
