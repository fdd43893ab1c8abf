"""Blocks and runs as a person reads them: a line that says what it is, and below it what was said.

    3  2026-07-01 12:00:05  call · weather-agent  get_weather(city="Paris")
    4  2026-07-01 12:00:06  result  18 °C
    5  2026-07-01 12:00:09  assistant · weather-agent  topic:weather
         It is 18 °C in Paris.
  run  2026-07-01 12:00:09  completed  0197c5a1-6c1e-7d3a-9f55-0d6b1b6f3c11  4.2 s

Everything that was stored passes through `safe` on its way here, and is never read as Rich's markup.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from chatstore.cli.safe import json_line, one_line, printable
from chatstore.formats.shown import said_at
from chatstore.model import Block, Part, Run, Tag

INDENT: Final = 9
"""Columns before what was said."""
_NARROWEST: Final = 20
_LONGEST: Final = 200
"""Characters of a call, a result or data that are shown unless they are wanted in full."""
_LONGEST_NAME: Final = 16
"""Columns of a name on a line that goes on with a text."""

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
_RUN_STYLES: Final = {"running": "bold cyan", "completed": "bold green"}


class Renderer:
    """Renders for a width in columns, or for None without wrapping.

    `full` shortens nothing; `contexts` names the context on each line that says what something is. `as_said`: with a
    block stands when it was said, which of an imported one is before it was stored.
    """

    def __init__(self, width: int | None, *, full: bool = False, contexts: bool = False, as_said: bool = False) -> None:
        self._width = width
        self._as_said = as_said
        self._full = full
        self._contexts = contexts

    def block(self, block: Block) -> Text:
        """One block."""
        text = self._described(block, said_at(block) if self._as_said else None)
        if block.type == "message":
            self._put_below(text, block.text)
        elif block.type in _LABELS:
            self._put(text, self._brief(_call(block) if block.type == "function_call" else block.text))
        else:
            self._put(text, self._data(block), "dim")
            self._put(text, block.text)
        self._put_parts(text, block)
        return text

    def opened(self, block: Block, *, marked: bool) -> Text:
        """A block whose text is still to come; `marked` says that it is open."""
        text = self._described(block if marked else block.model_copy(update={"state": "closed"}))
        if block.type == "function_call":
            self._put(text, str(_data(block).get("name")))
        elif block.type not in ("message", "function_result"):
            self._put(text, self._data(block), "dim")
        self._put_parts(text, block)
        return text

    def ended(self, block: Block) -> Text:
        """That a block ended, and how."""
        return self._described(block.model_copy(update={"created_at": block.updated_at, "tags": ()}))

    def updated(self, block: Block) -> Text:
        """What is new about a block beside its text: its tags, its usage."""
        text = self._described(block, block.updated_at, f"{_label(block)} updated")
        self._put(text, "" if block.usage is None else f"usage {self._brief(json_line(block.usage))}", "dim")
        return text

    def run_started(self, run: Run) -> Text:
        """The start of a run."""
        text = self._headed("run", run.started_at, run.context_id).append("started", "bold blue")
        text.append(f"  {one_line(run.id)}")
        if run.parent_run_id is not None:
            text.append(f"  part of {one_line(run.parent_run_id)}", "dim")
        return text

    def run_ended(self, run: Run) -> Text:
        """The end of a run, and how it ended."""
        text = self._headed("run", run.ended_at or run.started_at, run.context_id).append_text(state_text(run))
        text.append(f"  {one_line(run.id)}  {lasted(run)}")
        self._put(text, "" if run.error is None else f"{run.error.type}: {run.error.message}", "red")
        self._put(text, "" if run.usage is None else f"usage {self._brief(json_line(run.usage))}", "dim")
        return text

    def erased(self, context_id: str) -> Text:
        """That a context was erased."""
        text = Text("      ").append("erased", "bold red")
        return text.append(f"  {one_line(context_id)}", "cyan") if self._contexts else text

    def continuation(self, index: int, author: str | None, context_id: str) -> Text:
        """What stands before the text of a block that goes on after something else was printed."""
        text = Text().append(f"{index:>5} …", "dim").append("  ")
        names = [(context_id, "cyan")] * self._contexts + [(author or "", "magenta")]
        for name, style in names:
            if name:
                short = Text(one_line(name), style)
                short.truncate(_LONGEST_NAME, overflow="ellipsis")
                text.append_text(short).append("  ")
        return text

    def _headed(self, place: str, time: datetime, context_id: str) -> Text:
        text = Text().append(f"{place:>5}  {when(time)}  ", "dim")
        return text.append(f"{one_line(context_id)}  ", "cyan") if self._contexts else text

    def _described(self, block: Block, time: datetime | None = None, label: str | None = None) -> Text:
        text = self._headed(str(block.index), time or block.created_at, block.context_id)
        text.append(one_line(label or _label(block)), style_of(block))
        if block.author:
            text.append(" · ").append(one_line(block.author), "magenta")
        if _data(block).get("is_error") is True:
            text.append("  error", "bold red")
        if block.state != "closed":
            text.append(f"  {block.state}", "cyan" if block.state == "open" else "bold red")
        if (error := _error(block)) is not None:
            text.append(f"  {self._brief(one_line(error))}", "red")
        if block.internal:
            text.append("  internal", "dim italic")
        for tag in block.tags:
            text.append(f"  {tag_text(tag)}", "blue")
        return text

    def _data(self, block: Block) -> str:
        data = block.data
        if _error(block) is not None:  # it is said already
            data = {name: value for name, value in _data(block).items() if name != "error"} or None
        return "" if data is None else self._brief(json_line(data))

    def _put_parts(self, text: Text, block: Block) -> None:
        for part in block.parts:
            self._put_below(text, part.text or "" if part.type == "text" else self._brief(_part(part)))

    def _put(self, text: Text, words: str, style: str = "") -> None:
        """Puts words on the line where there is room for them, or else below."""
        room = _LONGEST + 50 if self._width is None else self._width - text.cell_len - 2
        if "\n" in text.plain or "\n" in words or cell_len(words) > room:
            self._put_below(text, words, style)
        elif words:
            text.append(f"  {one_line(words)}", style)

    def _put_below(self, text: Text, words: str, style: str = "") -> None:
        for line in self._lines(printable(words)) if words else ():
            text.append(f"\n{' ' * INDENT}{line}".rstrip(" "), style)

    def _lines(self, text: str) -> Iterable[str]:
        return text.split("\n") if self._width is None else wrapped(text, self._width)

    def _brief(self, text: str) -> str:
        if self._full or (len(text) <= _LONGEST and "\n" not in text):
            return text
        line = " ".join(text[:_LONGEST].split())
        return line if len(text) <= _LONGEST else f"{line}… ({len(text):,} characters)"


def wrapped(text: str, width: int) -> list[str]:
    """Text in lines that fit below a line, in a terminal of this width."""
    room = max(width - INDENT, _NARROWEST)
    lines = (line.plain for line in Text(text, tab_size=8).wrap(_wrapping(), room))
    # Rich counts characters where it cuts off the blanks at the end of a line, and not columns.
    return [line if cell_len(line) <= room else line.rstrip(" ") for line in lines]


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


def lasted(run: Run) -> str:
    """How long a run took, or has been going on by now."""
    seconds = max((run.ended_at or datetime.now(UTC)) - run.started_at, timedelta()).total_seconds()
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes} min {seconds} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def state_text(run: Run) -> Text:
    """The state of a run."""
    return Text(run.state, _RUN_STYLES.get(run.state, "bold red"))


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


def _data(block: Block) -> Mapping[str, Any]:
    return block.data if isinstance(block.data, Mapping) else {}


def _error(block: Block) -> str | None:
    """Why a block failed, where that was kept with it."""
    error = _data(block).get("error") if block.state == "failed" else None
    return f"{error.get('type')}: {error.get('message')}" if isinstance(error, Mapping) else None


def _call(block: Block) -> str:
    data = _data(block)
    return compact_call(str(data.get("name")), data.get("arguments"), block.text)


def _part(part: Part) -> str:
    size = None if part.size is None else f"{part.size:,} bytes"
    words = (part.type, part.mime_type, part.name, size, part.url)
    return f"[{' '.join(word for word in words if word)}]"
