"""`chatstore vacuum`: makes the file as small as what it holds."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from chatstore.cli.options import DEFAULT_STORE, JsonOption, StoreOption
from chatstore.cli.output import Output
from chatstore.cli.progress import progress_bar
from chatstore.cli.running import note
from chatstore.databases.vacuuming import vacuum


def vacuum_command(
    path: Annotated[
        str | None,
        typer.Argument(metavar="STORE", help="The store. [default: that of --store]", show_default=False),
    ] = None,
    as_json: JsonOption = False,
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Gives the room of what was compacted, pruned or erased back to the file system.

    Others may have the store open, and go on writing.
    """
    with progress_bar("giving back", in_bytes=True) as progress:
        report = vacuum(store if path is None else path, progress=progress)
    output = Output()
    if as_json:
        output.json(report.model_dump())
    else:
        output.text(Text(f"{report.before:,} bytes before, {report.after:,} bytes now"))
    if report.held:
        note("somebody reads from the store: its file gets shorter when they are done and the next writer comes along")
