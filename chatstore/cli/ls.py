"""`chatstore ls`: the contexts of a store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from chatstore.cli.options import DEFAULT_STORE, JsonOption, StoreArgument, StoreOption, context_keys, tag_names
from chatstore.cli.output import Output
from chatstore.cli.reading import open_to_read
from chatstore.cli.render import tag_text, when
from chatstore.cli.running import note
from chatstore.cli.safe import one_line
from chatstore.model import Context

_COLUMNS = ("context", "blocks", "last change", "keys", "tags")

KeysOption = Annotated[
    list[str] | None,
    typer.Option("--key", metavar="NAME=VALUE", help="Only contexts with this context key; repeat it, all must hold."),
]
TagsOption = Annotated[
    list[str] | None,
    typer.Option("--tag", metavar="KIND:NAME", help="Only contexts with this tag; repeat it, all must hold."),
]
LimitOption = Annotated[int, typer.Option("--limit", min=0, metavar="N", help="At most so many.")]


def ls_command(
    path: StoreArgument = None,
    key: KeysOption = None,
    tag: TagsOption = None,
    limit: LimitOption = 1_000,
    as_json: JsonOption = False,
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Lists the contexts of the store, in the order they were created."""
    with open_to_read(store if path is None else path) as opened:
        # One more than is shown, to know whether there are more.
        found = opened.contexts(keys=context_keys(key or ()), tags=tag_names(tag or ()), limit=limit + 1)
    _print(Output(), found[:limit], as_json)
    if len(found) > limit:
        note(f"the first {limit:,} contexts; there are more, see --limit")


def _print(output: Output, contexts: Sequence[Context], as_json: bool) -> None:
    if as_json:
        for context in contexts:
            output.json(context.model_dump(mode="json"))
    elif output.width is None:
        for context in contexts:
            output.line("\t".join(_row(context)))
    else:
        output.show(_table(contexts))


def _table(contexts: Sequence[Context]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    styles = ("cyan", "", "dim", "magenta", "blue")
    for name, style in zip(_COLUMNS, styles, strict=True):
        table.add_column(name, style=style, justify="right" if name == "blocks" else "left", overflow="fold")
    for context in contexts:
        table.add_row(*map(Text, _row(context)))
    return table


def _row(context: Context) -> tuple[str, str, str, str, str]:
    keys = " ".join(f"{name}={value}" for name, value in (context.keys or {}).items())
    tags = " ".join(map(tag_text, context.tags))
    return one_line(context.context_id), str(context.count), when(context.updated_at), one_line(keys), tags
