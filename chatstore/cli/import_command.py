"""`chatstore import`: conversations as JSON Lines of OpenAI chat messages, and what other programs left behind."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from chatstore.cli import import_files
from chatstore.cli.importer import Importer
from chatstore.cli.options import DEFAULT_STORE, StoreOption, is_remote
from chatstore.cli.reading import open_store
from chatstore.cli.running import FAILED, note
from chatstore.databases import locate
from chatstore.databases.facts import bytes_on_disk
from chatstore.importing.detecting import Format

FilesArgument = Annotated[
    list[str], typer.Argument(metavar="FILE", help="JSON Lines, gzip too; `-` is standard input. Or as --format says.")
]
ContextOption = Annotated[
    str | None, typer.Option("--context", metavar="CONTEXT", help="The context's id, for a single conversation.")
]
FormatOption = Annotated[
    Format | None,
    typer.Option("--format", help="What wrote the files, where they do not tell it themselves.", show_default=False),
]
PrefixOption = Annotated[str, typer.Option("--prefix", metavar="TEXT", help="Goes before the context ids.")]


def import_command(
    files: FilesArgument,
    context: ContextOption = None,
    prefix: PrefixOption = "",
    format: FormatOption = None,
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Imports conversations of OpenAI chat messages, and those that other programs keep.

    A line is a record with `messages` and an `id`, which names the context; a list of messages; or one message, and
    all such lines of a file are one conversation. Stopped or repeated, it goes on where it was: what is stored already
    is left as it is. A record that cannot be stored is refused with its line, and the others are imported.

    Other formats tell themselves: databases of OpenAI Agents' sessions and of LangChain's messages, logs of Claude
    Code (or a directory of them), states of AutoGen, traces of AG-UI. Their files are read and never changed.
    """
    named = import_files.files_of(files, format)
    started = time.monotonic()
    with open_store(store) as opened, _progress() as progress:
        before = _size(store)
        importing = Importer(opened, progress, prefix, context, format)
        try:
            for file in named:
                importing.file(file)
        except KeyboardInterrupt:
            note("stopped; the same command goes on from here")
            raise
    for line in importing.counts.told(time.monotonic() - started, _size(store) - before):
        typer.echo(line)
    if importing.counts.refused:
        raise typer.Exit(FAILED)


def _size(store: str) -> int:
    """Bytes that a store has on the disk; none of what is at an address."""
    return 0 if is_remote(store) else bytes_on_disk(locate(store))


@contextmanager
def _progress() -> Iterator[Progress]:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        yield progress
