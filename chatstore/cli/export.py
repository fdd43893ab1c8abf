"""`chatstore export`: conversations as a provider takes them, or as people read them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import IO, Annotated, Final

import typer

from chatstore.cli import sink
from chatstore.cli.options import DEFAULT_STORE, StoreOption
from chatstore.cli.reading import PAGE, all_contexts, existing_history, open_to_read
from chatstore.cli.safe import json_line, printable
from chatstore.formats import openai_chat
from chatstore.formats.anthropic_prompt import to_anthropic
from chatstore.formats.html import to_html
from chatstore.formats.markdown import to_markdown
from chatstore.history import History
from chatstore.model import Block
from chatstore.store import ChatStore


class Format(StrEnum):
    """What an export is written as."""

    openai = "openai"
    anthropic = "anthropic"
    markdown = "markdown"
    html = "html"


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
FormatOption = Annotated[
    Format,
    typer.Option("--format", help="JSON Lines of a provider's messages, or a text or page for people."),
]


def export_command(
    contexts: ContextsArgument = None,
    output: OutputOption = None,
    overwrite: OverwriteOption = False,
    format: FormatOption = Format.openai,
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Exports conversations, by default as OpenAI chat messages: a line of JSON each, with `id` and `messages`.

    What was imported comes back so with equal JSON values. `anthropic` writes lines that its Messages API takes, with
    `system` where there is one. `markdown` and `html` are for people, and show statuses and thoughts, too.
    """
    with open_to_read(store) as opened:
        named = [existing_history(opened, context) for context in contexts or ()]
        everything = (opened.history(context.context_id) for context in all_contexts(opened))
        with sink.to(output, opened.location, overwrite=overwrite) as out:
            _WRITERS[format](out, opened, named if contexts else everything)


def _openai(out: IO[bytes], store: ChatStore, histories: Iterable[History]) -> None:
    for history in histories:
        out.write(f'{{"id":{json_line(history.context_id)},"messages":['.encode())
        for number, message in enumerate(openai_chat.to_messages(_blocks(history), store.read_bytes)):
            out.write(f"{',' if number else ''}{json_line(message)}".encode())
        out.write(b"]}\n")


def _anthropic(out: IO[bytes], store: ChatStore, histories: Iterable[History]) -> None:
    for history in histories:
        prompt = to_anthropic(_blocks(history), store.read_bytes)
        out.write(f"{json_line({'id': history.context_id, **prompt})}\n".encode())


def _markdown(out: IO[bytes], store: ChatStore, histories: Iterable[History]) -> None:
    for number, history in enumerate(histories):
        out.write(b"\n" if number else b"")
        for piece in to_markdown(history.context_id, _blocks(history)):
            out.write(printable(piece).encode())


def _html(out: IO[bytes], store: ChatStore, histories: Iterable[History]) -> None:
    conversations = ((history.context_id, _blocks(history)) for history in histories)
    for piece in to_html(conversations, store.read_bytes):
        out.write(piece.encode())


_WRITERS: Final[dict[Format, Callable[[IO[bytes], ChatStore, Iterable[History]], None]]] = {
    Format.openai: _openai,
    Format.anthropic: _anthropic,
    Format.markdown: _markdown,
    Format.html: _html,
}


def _blocks(history: History) -> Iterator[Block]:
    """The blocks of a history, page by page: a long one never has to fit into memory."""
    page = history.get_messages(limit=PAGE)
    while page:
        yield from page
        page = history.get_messages(after=page[-1].cursor, limit=PAGE)
