"""Changes and blocks as a person reads them: a line that says what it is, and below it what was said.

    3  2026-07-01 12:00:05  call · weather-agent  get_weather(city="Paris")
    4  2026-07-01 12:00:06  result  18 °C
    5  2026-07-01 12:00:09  assistant · weather-agent  topic:weather
         It is 18 °C in Paris.

Everything that was stored passes through `safe` on its way here, and is never read as Rich's markup.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cache
from typing import Any, Final

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from chatstore.changes import BlockUpdated, Change
from chatstore.cli.safe import json_line, one_line, printable
from chatstore.model import Block, Part, Tag

_INDENT: Final = 9
_NARROWEST: Final = 20
_LONGEST: Final = 200
"""Characters of a call, a result or data that are shown unless they are wanted in full."""

_LABELS: Final = {"function_call": "call", "function_result": "result"}
_STYLES: Final = {
    "user": "bold cyan",
    "assistant": "bold green",
    "system": "bold magenta",
    "developer": "bold magenta",
    "call": "yellow",
    "result": "yellow",
    "error": "bold red",
}


class Renderer:
    """Renders for a width in columns, or for None without wrapping; `full` shortens nothing."""

    def __init__(self, width: int | None, *, full: bool = False) -> None:
        self._width = width
        self._full = full

    def change(self, change: Change) -> Text:
        """One change of a context's log."""
        return self._updated(change.block) if isinstance(change, BlockUpdated) else self.block(change.block)

    def block(self, block: Block) -> Text:
        """One block."""
        text = _header(block, block.created_at, _label(block))
        if block.type == "message":
            self._put_below(text, block.text)
        elif block.type in _LABELS:
            self._put(text, self._brief(_call(block) if block.type == "function_call" else block.text))
        else:
            self._put(text, "" if block.data is None else self._brief(json_line(block.data)), "dim")
            self._put(text, block.text)
        for part in block.parts:
            self._put_below(text, part.text or "" if part.type == "text" else self._brief(_part(part)))
        return text

    def _updated(self, block: Block) -> Text:
        text = _header(block, block.updated_at, f"{_label(block)} updated")
        self._put(text, "" if block.usage is None else f"usage {self._brief(json_line(block.usage))}", "dim")
        return text

    def _put(self, text: Text, words: str, style: str = "") -> None:
        """Puts words on the line where there is room for them, or else below."""
        room = _LONGEST + 50 if self._width is None else self._width - text.cell_len - 2
        if "\n" in text.plain or "\n" in words or cell_len(words) > room:
            self._put_below(text, words, style)
        elif words:
            text.append(f"  {one_line(words)}", style)

    def _put_below(self, text: Text, words: str, style: str = "") -> None:
        for line in self._lines(printable(words)) if words else ():
            text.append(f"\n{' ' * _INDENT}{line}".rstrip(" "), style)

    def _lines(self, text: str) -> Iterable[str]:
        if self._width is None:
            return text.split("\n")
        wrapped = Text(text, tab_size=8).wrap(_wrapping(), max(self._width - _INDENT, _NARROWEST))
        return (line.plain for line in wrapped)

    def _brief(self, text: str) -> str:
        if self._full or (len(text) <= _LONGEST and "\n" not in text):
            return text
        line = " ".join(text[:_LONGEST].split())
        return line if len(text) <= _LONGEST else f"{line}… ({len(text):,} characters)"


@cache
def _wrapping() -> Console:
    return Console(width=80)


def compact_call(name: str, arguments: Any, raw: str) -> str:
    """A function call, its arguments by name; the model's own text where they are not a JSON object."""
    if isinstance(arguments, Mapping):
        return f"{name}({', '.join(f'{key}={json_line(value)}' for key, value in arguments.items())})"
    return f"{name}({raw})"


def when(time: datetime) -> str:
    """A time by the clock of whoever reads it."""
    return f"{time.astimezone():%Y-%m-%d %H:%M:%S}"


def tag_text(tag: Tag) -> str:
    """A tag on one line, with its value where it has one."""
    value = "" if tag.value is None else f"={json_line(tag.value)}"
    return one_line(f"{tag.kind}:{tag.name}{value}")


def style_of(block: Block) -> str:
    """The colour of who speaks or what happens."""
    return _STYLES.get(_label(block), "blue")


def _label(block: Block) -> str:
    if block.type == "message":
        return block.role or block.type
    return _LABELS.get(block.type, block.type)


def _header(block: Block, time: datetime, label: str) -> Text:
    text = Text()
    text.append(f"{block.index:>5}  {when(time)}  ", "dim")
    text.append(one_line(label), style_of(block))
    if block.author:
        text.append(" · ").append(one_line(block.author), "magenta")
    if isinstance(block.data, Mapping) and block.data.get("is_error") is True:
        text.append("  error", "bold red")
    if block.state != "closed":
        text.append(f"  {block.state}", "cyan" if block.state == "open" else "red")
    if block.internal:
        text.append("  internal", "dim italic")
    for tag in block.tags:
        text.append(f"  {tag_text(tag)}", "blue")
    return text


def _call(block: Block) -> str:
    data = block.data if isinstance(block.data, Mapping) else {}
    return compact_call(str(data.get("name")), data.get("arguments"), block.text)


def _part(part: Part) -> str:
    size = None if part.size is None else f"{part.size:,} bytes"
    words = (part.type, part.mime_type, part.name, size, part.url)
    return f"[{' '.join(word for word in words if word)}]"
