"""`chatstore copy`: a whole store, moved to another place."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from chatstore.cli.options import JsonOption, of_this_machine
from chatstore.cli.output import Output
from chatstore.cli.progress import progress_bar
from chatstore.cli.reading import open_to_read
from chatstore.cli.running import note
from chatstore.cli.safe import one_line
from chatstore.copying import CopyReport, copy


def copy_command(
    source: Annotated[str, typer.Argument(metavar="FROM", help="The store: a path or URL.", show_default=False)],
    target: Annotated[
        str, typer.Argument(metavar="TO", help="A file to make, or a URL with an empty store.", show_default=False)
    ],
    as_interrupted: Annotated[
        bool, typer.Option("--as-interrupted", help="End runs and blocks that are open, in the copy.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Copies a store as it is at one moment, between a file and a PostgreSQL server either way, or two of a kind.

    All comes with it, under the same ids, numbers and times, and is verified. Stopped, it goes on when it is started
    again. The store at a URL is made first by `chatstore migrate`. The copy is a store of its own: it tells who comes
    with a cursor of the original where to go on.
    """
    for location in (source, target):
        of_this_machine(location, "copy")
    with open_to_read(source):  # which also ends what dead processes left open
        try:
            with progress_bar("copying") as progress:
                report = copy(source, target, as_interrupted=as_interrupted, progress=progress)
        except KeyboardInterrupt:
            note("stopped; the same command goes on from here")
            raise
    if as_json:
        Output().json(report.model_dump())
    else:
        _print(report)


def _print(report: CopyReport) -> None:
    output = Output()
    held = f"{report.contexts:,} contexts, {report.blocks:,} blocks, {report.changes:,} changes, {report.runs:,} runs"
    output.text(Text(one_line(f"copied {report.source} to {report.target}")))
    output.text(Text(f"{held}, {report.blobs:,} contents of parts; all is as it was written"))
    for count, what in (
        (report.erased, "erased contexts, of which only that is kept"),
        (report.resumed, "contexts were there from an attempt before"),
        (report.interrupted, "runs and blocks were open, and are ended as interrupted in the copy"),
    ):
        if count:
            output.text(Text(f"{count:,} {what}"))
    output.text(Text(f"the copy's identity is {report.identity}"))
