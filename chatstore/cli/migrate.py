"""`chatstore migrate`: brings a store to the newest format."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from chatstore.cli.options import DEFAULT_STORE, StoreOption, of_this_machine, shown_location
from chatstore.cli.output import Output
from chatstore.cli.safe import one_line
from chatstore.databases import locate


def migrate_command(
    path: Annotated[
        str | None,
        typer.Argument(metavar="STORE", help="The store. [default: that of --store]", show_default=False),
    ] = None,
    partitions: Annotated[
        int, typer.Option(metavar="N", min=0, help="Make the tables of a new store on a server in N parts each.")
    ] = 0,
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Brings a store that an older chatstore wrote to the newest format, wholly or not at all.

    No process may have it open. There is no way back but a backup: make one first. Of a postgresql:// URL at which
    there is no store, it makes one.
    """
    from chatstore.migrate import migrate  # loads Alembic, which no other command should wait for

    location = of_this_machine(store if path is None else path, "migrate")
    old, new = migrate(location, partitions=partitions)
    made = old == 0 and not isinstance(locate(location), Path)  # files of format 0 are there: the first ones
    Output().text(Text(one_line(f"{shown_location(location)}: {_done(old, new, made)}")))


def _done(old: int, new: int, made: bool) -> str:
    if old == new:
        return f"has format {new}, the newest; nothing to do"
    return f"made, of format {new}" if made else f"migrated from format {old} to {new}"
