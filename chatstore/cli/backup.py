"""`chatstore backup`: a copy of the store, made while others go on writing."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from chatstore.cli.options import DEFAULT_STORE, JsonOption, StoreOption, of_this_machine
from chatstore.cli.output import Output
from chatstore.cli.progress import progress_bar
from chatstore.cli.reading import open_to_read
from chatstore.cli.safe import one_line
from chatstore.errors import InvalidInput


def backup_command(
    paths: Annotated[
        list[str],
        typer.Argument(metavar="[STORE] TARGET", help="The store, if not that of --store, and the file to make."),
    ],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is at TARGET.")] = False,
    as_json: JsonOption = False,
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Copies the store as it is at one moment; others may go on writing to it.

    The copy is a store of its own: cursors of the original are refused there. It appears at TARGET when it is whole
    and on the disk.
    """
    if len(paths) > 2:
        raise InvalidInput("name the store and one file for the backup")
    source, target = [store, *paths][-2:]
    of_this_machine(source, "backup")
    with open_to_read(source) as opened, progress_bar("backing up", in_bytes=True) as progress:
        report = opened.backup(target, overwrite=overwrite, progress=progress)
    output = Output()
    if as_json:
        output.json(report.model_dump())
        return
    held = f"{report.contexts:,} contexts, {report.blocks:,} blocks, {report.bytes:,} bytes"
    output.text(Text(one_line(f"backed up to {report.path}: {held}; its identity is {report.identity}")))
