"""`chatstore import` and `chatstore export`: conversations as JSON Lines of OpenAI chat messages."""

from __future__ import annotations

import gzip
import io
import os
import stat
import sys
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Annotated, BinaryIO, Final, cast

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from chatstore.checks import MAX_BATCH
from chatstore.cli import sink
from chatstore.cli.options import DEFAULT_STORE, StoreOption
from chatstore.cli.reading import all_contexts, existing_history, open_to_read
from chatstore.cli.running import FAILED, note
from chatstore.cli.safe import json_line, one_line
from chatstore.databases import locate
from chatstore.databases.facts import bytes_on_disk
from chatstore.errors import BlocksRemoved, InvalidInput, KeyConflict
from chatstore.formats import jsonl, openai_chat
from chatstore.formats.jsonl import Conversation, Refused
from chatstore.history import History
from chatstore.model import Block, BlockDraft
from chatstore.store import ChatStore

STANDARD_INPUT: Final = "-"
_KEY: Final = "import/openai-chat"
_GZIP: Final = b"\x1f\x8b"
_PAGE: Final = 1_000

FilesArgument = Annotated[
    list[str], typer.Argument(metavar="FILE", help="JSON Lines, gzip too; `-` is standard input.")
]
ContextOption = Annotated[
    str | None, typer.Option("--context", metavar="CONTEXT", help="The context's id, for a single conversation.")
]
PrefixOption = Annotated[str, typer.Option("--prefix", metavar="TEXT", help="Goes before the context ids.")]
ContextsArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="CONTEXT", help="The contexts; all of them where none is named.", show_default=False),
]
OutputOption = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", metavar="FILE", help="Where to; standard output where it is left out; `.gz` is compressed."
    ),
]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace a file that is at FILE.")]


def import_command(
    files: FilesArgument,
    context: ContextOption = None,
    prefix: PrefixOption = "",
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Imports conversations of OpenAI chat messages.

    A line is a record with `messages` and an `id`, which names the context; a list of messages; or one message, and
    all such lines of a file are one conversation. Stopped or repeated, it goes on where it was: what is stored already
    is left as it is. A record that cannot be stored is refused with its line, and the others are imported.
    """
    for file in files:
        if file != STANDARD_INPUT and (Path(file).is_dir() or not Path(file).exists()):
            raise InvalidInput(f"{file} is no file; name one with JSON Lines, or - for standard input")
    started = time.monotonic()
    with ChatStore(store) as opened, _progress() as progress:
        place = locate(store)
        before = bytes_on_disk(place)
        importing = _Import(opened, progress, prefix, context)
        try:
            for file in files:
                importing.file(file)
        except KeyboardInterrupt:
            note("stopped; the same command goes on from here")
            raise
    _summarise(importing.counts, time.monotonic() - started, bytes_on_disk(place) - before)
    if importing.counts.refused:
        raise typer.Exit(FAILED)


def export_command(
    contexts: ContextsArgument = None,
    output: OutputOption = None,
    overwrite: OverwriteOption = False,
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Exports conversations as OpenAI chat messages: one line of JSON each, with `id` and `messages`.

    What was imported comes back with equal JSON values. Statuses, errors and blocks of other types are left out.
    """
    with open_to_read(store) as opened:
        named = [existing_history(opened, context) for context in contexts or ()]
        everything = (opened.history(context.context_id) for context in all_contexts(opened))
        with sink.to(output, opened.location, overwrite=overwrite) as out:
            for history in named if contexts else everything:
                _write(out, opened, history)


@dataclass
class _Counts:
    """What an import did; `text` is bytes: of the texts of the blocks that are new and of their parts."""

    conversations: int = 0
    messages: int = 0
    blocks: int = 0
    text: int = 0
    stored_before: int = 0
    empty: int = 0
    refused: int = 0


@dataclass
class _Import:
    """One run of the command."""

    store: ChatStore
    progress: Progress
    prefix: str
    context: str | None
    counts: _Counts = field(default_factory=_Counts)
    _named: bool = False

    def file(self, file: str) -> None:
        """Imports a file's conversations, one append each."""
        name = "stdin" if file == STANDARD_INPUT else Path(file).name.removesuffix(".gz").removesuffix(".jsonl")
        with _opened(file) as raw:
            size = _length(raw, file)
            task = self.progress.add_task(one_line(name), total=size)
            try:
                for found in _conversations(raw, name):
                    self._take(found, file)
                    if size is not None:
                        self.progress.update(task, completed=raw.tell())
            except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                self._refuse(file, f"the compressed data is damaged or ends early ({error})")

    def _take(self, found: Conversation | Refused, file: str) -> None:
        place = f"{file}:{found.line}"
        if isinstance(found, Refused):
            self._refuse(place, found.reason)
            return
        try:
            self._store(found)
        except InvalidInput as error:
            self._refuse(place, str(error))

    def _refuse(self, place: str, reason: str) -> None:
        self.counts.refused += 1
        message = one_line(f"{place}: refused: {reason}")
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
        self.counts.text += sum(map(_bytes_of_text, drafts))

    def _context_of(self, found: Conversation) -> str:
        if self.context is None:
            return f"{self.prefix}{found.id}"
        if self._named:
            raise InvalidInput("--context is for a single conversation, and this is one more")
        self._named = True
        return f"{self.prefix}{self.context}"


def append(history: History, drafts: Sequence[BlockDraft], *, batch: int = MAX_BATCH) -> Block:
    """Appends a conversation under keys, so that it is there once however often this is called; its first block.

    What one append does not hold goes in several. A parent that is stored by then is named by its id.
    """
    first: Block | None = None
    current: dict[int, BlockDraft | str] = {}
    for number, start in enumerate(range(0, len(drafts), batch)):
        chunk = drafts[start : start + batch]
        for draft in chunk:
            current[id(draft)] = _with_parent(draft, current.get(id(draft.parent)))
        stored = history.append([cast("BlockDraft", current[id(draft)]) for draft in chunk], key=f"{_KEY}/{number}")
        current |= {id(draft): block.id for draft, block in zip(chunk, stored, strict=True)}
        first = first or stored[0]
    assert first is not None
    return first


def _with_parent(draft: BlockDraft, parent: BlockDraft | str | None) -> BlockDraft:
    return draft if parent is None or parent is draft.parent else draft.model_copy(update={"parent": parent})


def _bytes_of_text(draft: BlockDraft) -> int:
    parts = sum(len(part.content or b"") + len((part.text or "").encode()) for part in draft.parts)
    return parts + len(draft.text.encode())


@contextmanager
def _opened(file: str) -> Iterator[BinaryIO]:
    if file != STANDARD_INPUT:
        with Path(file).open("rb") as raw:
            yield raw
        return
    # Only a buffered reader can be looked into without taking from it, and not every standard input is one.
    reader = io.BufferedReader(cast("io.RawIOBase", sys.stdin.buffer))
    try:
        yield reader
    finally:
        reader.detach()


def _length(raw: BinaryIO, file: str) -> int | None:
    """Bytes of an open file; None for a pipe, which ends when it ends."""
    status = None if file == STANDARD_INPUT else os.fstat(raw.fileno())
    return status.st_size if status is not None and stat.S_ISREG(status.st_mode) else None


def _conversations(raw: BinaryIO, name: str) -> Iterator[Conversation | Refused]:
    """The conversations of an open file. What cannot be decompressed ends it, as a refused line."""
    compressed = cast("io.BufferedReader", raw).peek(len(_GZIP))[: len(_GZIP)] == _GZIP
    if not compressed:
        yield from jsonl.conversations(raw, name)
        return
    with gzip.GzipFile(fileobj=raw) as lines:
        yield from jsonl.conversations(lines, name)


@contextmanager
def _progress() -> Iterator[Progress]:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        yield progress


def _summarise(counts: _Counts, seconds: float, growth: int) -> None:
    typer.echo(
        f"imported {counts.conversations:,} conversations: {counts.messages:,} messages, {counts.blocks:,} blocks,"
        f" {counts.text:,} bytes of text in {seconds:.1f} s"
    )
    if counts.text and growth > 0:
        typer.echo(f"on disk {growth:,} bytes: {growth / counts.text:.2f} per byte of text")
    for count, what in (
        (counts.stored_before, "stored before, and left as they are"),
        (counts.empty, "without messages, and left out"),
        (counts.refused, "refused"),
    ):
        if count:
            typer.echo(f"{count:,} {what}")


def _blocks(history: History) -> Iterator[Block]:
    """The blocks of a history, page by page: a long one never has to fit into memory."""
    page = history.get_messages(limit=_PAGE)
    while page:
        yield from page
        page = history.get_messages(after=page[-1].cursor, limit=_PAGE)


def _write(out: IO[bytes], store: ChatStore, history: History) -> None:
    out.write(f'{{"id":{json_line(history.context_id)},"messages":['.encode())
    for number, message in enumerate(openai_chat.to_messages(_blocks(history), store.read_bytes)):
        out.write(f"{',' if number else ''}{json_line(message)}".encode())
    out.write(b"]}\n")
