"""`chatstore show`: the blocks of one context, read once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from chatstore.cli.options import (
    DEFAULT_STORE,
    AuthorOption,
    ContextArgument,
    FullOption,
    JsonOption,
    KeyOption,
    KindOption,
    StoreOption,
    TypeOption,
    context_of,
)
from chatstore.cli.output import Output
from chatstore.cli.reading import PAGE, existing_history, open_to_read
from chatstore.cli.render import Renderer
from chatstore.cli.running import note
from chatstore.history import History
from chatstore.model import Block
from chatstore.requests import Filters

LastOption = Annotated[
    int | None, typer.Option("--last", "-n", min=0, metavar="N", help="Only the last N of the selected blocks.")
]


def show_command(
    context: ContextArgument = None,
    key: KeyOption = None,
    kind: KindOption = "transcript",
    last: LastOption = None,
    type: TypeOption = None,
    author: AuthorOption = None,
    as_json: JsonOption = False,
    full: FullOption = False,
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Prints the transcript of a context, or its blocks of another kind."""
    named = context_of(context, key)
    filters = Filters(types=type or None, authors=author or None)
    output = Output()
    renderer = Renderer(output.width, full=full, as_said=True)
    found = False
    with open_to_read(store) as opened:
        for block in blocks(existing_history(opened, named), kind, last, filters):
            found = True
            if as_json:
                output.json(block.model_dump(mode="json"))
            else:
                output.text(renderer.block(block))
    if not found and last != 0:
        note(
            "no block is of that"
            if kind == "trace"
            else f"no block is of that in the {kind}; --kind trace has every block"
        )


def blocks(history: History, kind: str, last: int | None, filters: Filters) -> Iterator[Block]:
    """The blocks of a read, a page at a time, so that a long history is not held in memory."""
    if last is not None or kind == "prompt":  # a prompt is made as a whole: a call and its result belong together
        yield from history.get_messages(kind=kind, last=last, **filters)
        return
    page = history.get_messages(kind=kind, limit=PAGE, **filters)
    while page:
        yield from page
        page = history.get_messages(kind=kind, limit=PAGE, after=page[-1].cursor, **filters)
