"""One run of `chatstore import`: each file by its format into the store, what is refused told, what is new counted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final

from rich.progress import Progress, TaskID

from chatstore.cli import import_files
from chatstore.cli.import_counts import Counts, bytes_of_text
from chatstore.cli.import_files import STANDARD_INPUT
from chatstore.cli.refusals import Refusals
from chatstore.cli.running import note
from chatstore.cli.safe import one_line
from chatstore.databases.foreign import is_database
from chatstore.errors import BlocksRemoved, InvalidInput, KeyConflict
from chatstore.formats import jsonl, openai_chat
from chatstore.formats.jsonl import Conversation, Refused
from chatstore.importing.conversations import append
from chatstore.importing.detecting import Format, format_of
from chatstore.importing.entries import Entry, Found, Later, Source, Unread
from chatstore.importing.reading import DATABASES, reader_of
from chatstore.importing.storing import Storing
from chatstore.model import Block
from chatstore.store import ChatStore

_LINE: Final = "line "


@dataclass
class Importer:
    """What the files of one command are imported by.

    `_contexts`: whether anything of a context is new; those of which nothing is, were stored before. `_named`: whether
    the context of `--context` was given to a conversation.
    """

    store: ChatStore
    progress: Progress
    prefix: str
    context: str | None
    format: Format | None = None
    counts: Counts = field(default_factory=Counts)
    _refusals: Refusals = field(default_factory=lambda: Refusals("", note))
    _named: bool = False
    _storing: dict[Format, Storing] = field(default_factory=dict)
    _contexts: dict[str, bool] = field(default_factory=dict)

    def file(self, file: str) -> None:
        """Imports what is in a file."""
        self._refusals = Refusals(file, self._say)
        empty = self.counts.empty
        try:
            self._read(file)
        except import_files.DAMAGED as error:
            self._refuse(file, f"the compressed data is damaged or ends early ({error})")
        except InvalidInput as error:
            self._refuse(file, str(error))
        self._refusals.end()
        if not self._refusals.good and not self._refusals.count and self.counts.empty == empty:
            self.counts.empty += 1
            self._say(f"{file}: nothing is in it")

    def _read(self, file: str) -> None:
        if file != STANDARD_INPUT and self._is_store(Path(file)):
            raise InvalidInput("it is the store that is imported into")
        if file != STANDARD_INPUT and is_database(Path(file)):
            self._database(Path(file), file)
        else:
            self._content(file)

    def _is_store(self, path: Path) -> bool:
        return Path(self.store.location).exists() and path.samefile(self.store.location)

    def _database(self, path: Path, file: str) -> None:
        format = self.format or import_files.found_format(path)
        if format not in DATABASES:
            raise InvalidInput(f"it is a database, which no import of {format} reads")
        task = self.progress.add_task(one_line(path.name), total=None)
        for _ in self._entries(Source(path.stem, BytesIO(), path), format, file, task):
            pass

    def _content(self, file: str) -> None:
        """Imports what is in a file that is read from its begin to its end."""
        name = import_files.name_of(file)
        with import_files.opened(file) as raw:
            size = import_files.length_of(raw, file)
            task = self.progress.add_task(one_line(name), total=size)
            with import_files.uncompressed(raw) as content:
                import_files.refuse_database(content, file)
                format = self._format_of(content, file)
                if format is Format.openai:
                    found = self._each(jsonl.conversations(jsonl.whole_lines(content), name), file)
                else:
                    named = import_files.name_of(file, import_files.ENDINGS)
                    found = self._entries(Source(named, content), format, file, task)
                for _ in found:
                    if size is not None:
                        self.progress.update(task, completed=raw.tell())

    def _format_of(self, content: BinaryIO, file: str) -> Format:
        if self.format is not None:
            return self.format
        if file != STANDARD_INPUT and Path(file).is_file():
            return import_files.found_format(Path(file))
        return format_of(_peeked(content), None)

    def _each(self, conversations: Iterator[Conversation | Refused], file: str) -> Iterator[None]:
        for found in conversations:
            self._take(found, file)
            yield None

    def _entries(self, source: Source, format: Format, file: str, task: TaskID) -> Iterator[None]:
        """Stores what a reader finds, entry by entry."""
        storing = self._storing.setdefault(format, Storing(self.store, format.value, self.prefix, self.context))
        storing.begin()
        for found in reader_of(format)(source):
            self._found(found, storing, file)
            if source.meter.total is not None:
                self.progress.update(task, completed=source.meter.done, total=source.meter.total)
            yield None

    def _found(self, found: Found, storing: Storing, file: str) -> None:
        place = _place(file, found.place)
        try:
            if isinstance(found, (Entry, Later)) and storing.refuses(found.context):
                return
            if isinstance(found, Entry):
                self._count(found, storing.put(found))
                self._refusals.accept()
            elif isinstance(found, Later):
                storing.later(found)
            elif isinstance(found, Unread):
                self._refuse(place, found.reason)
            else:
                self._refusals.accept()
                self._say(f"{place}: left out: {found.what}")
        except InvalidInput as error:
            if (
                isinstance(found, Entry)
                and storing.refuses(found.context)
                and self._contexts.get(found.context) is False
            ):
                del self._contexts[found.context]  # what it begins with is, but not this conversation
                self.counts.stored_before -= 1
            self._refuse(place, str(error))

    def _count(self, entry: Entry, stored: list[Block]) -> None:
        """Counts what is new. A context of which nothing is, was stored before."""
        known = self._contexts.get(entry.context)
        if known is None:
            self.counts.stored_before += 1
        if stored and not known:
            self.counts.stored_before -= 1
            self.counts.conversations += 1
        self._contexts[entry.context] = bool(known or stored)
        if stored:
            self.counts.messages += 1
            self.counts.blocks += len(stored)
            self.counts.text += sum(map(bytes_of_text, entry.puts))

    def _take(self, found: Conversation | Refused, file: str) -> None:
        place = f"{file}:{found.line}"
        if isinstance(found, Refused):
            self._refuse(place, found.reason)
            return
        try:
            self._store(found)
            self._refusals.accept()
        except InvalidInput as error:
            self._refuse(place, str(error))

    def _refuse(self, place: str, reason: str) -> None:
        self.counts.refused += 1
        self._refusals.refuse(place, reason)

    def _say(self, told: str) -> None:
        message = one_line(told)
        if self.progress.disable:
            note(message)
        else:
            self.progress.console.print(message, markup=False, highlight=False, soft_wrap=True)

    def _store(self, found: Conversation) -> None:
        drafts = openai_chat.to_drafts(found.messages)
        if not drafts:
            self.counts.empty += 1
            return
        history = self.store.history(self._context_of(found))
        before = history.head()
        try:
            first = append(history, drafts)
        except BlocksRemoved:
            self.counts.stored_before += 1
            return
        except KeyConflict:
            raise InvalidInput(
                f"context {history.context_id!r} holds an import of another conversation; choose a --prefix"
            ) from None
        if first.cursor <= before:
            self.counts.stored_before += 1
            return
        self.counts.conversations += 1
        self.counts.messages += len(found.messages)
        self.counts.blocks += len(drafts)
        self.counts.text += sum(map(bytes_of_text, drafts))

    def _context_of(self, found: Conversation) -> str:
        if self.context is None:
            return f"{self.prefix}{found.id}"
        if self._named:
            raise InvalidInput("--context is for a single conversation, and this is one more")
        self._named = True
        return f"{self.prefix}{self.context}"


def _place(file: str, place: str) -> str:
    """Where something is, as lines are named: `file:3`."""
    if place.startswith(_LINE):
        return f"{file}:{place.removeprefix(_LINE)}"
    return f"{file}: {place}" if place else file


def _peeked(content: BinaryIO) -> bytes:
    """What of a pipe is there already."""
    return content.peek(1) if hasattr(content, "peek") else b""
