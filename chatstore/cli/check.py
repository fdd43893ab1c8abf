"""`chatstore check`: compares all that is stored with the log and its checksums."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from chatstore.cli.options import DEFAULT_STORE, JsonOption, StoreOption
from chatstore.cli.output import Output
from chatstore.cli.progress import progress_bar
from chatstore.cli.reading import open_to_read
from chatstore.cli.running import FAILED
from chatstore.cli.safe import one_line
from chatstore.databases.repairing import repair_store
from chatstore.operations.checking import CheckReport


def check_command(
    path: Annotated[
        str | None,
        typer.Argument(metavar="STORE", help="The store. [default: that of --store]", show_default=False),
    ] = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Put back what can be proved, and mark the rest as damaged.")
    ] = False,
    as_json: JsonOption = False,
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Looks whether all that is stored is as it was written, and names what is not: context, block, and what is wrong.

    Others may go on writing. The exit code is 1 where anything is damaged. A repair makes a backup first, and keeps
    every damaged row in a file beside the store; both are named.
    """
    location = store if path is None else path
    if repair:
        report = _repair(location, as_json=as_json)
    else:
        with open_to_read(location) as opened, progress_bar("checking") as progress:
            report = opened.check(progress=progress)
        _print(report, as_json=as_json)
    if report.problems:
        raise typer.Exit(FAILED)


def _repair(location: str, *, as_json: bool) -> CheckReport:
    """Repairs a store, and says what was done and what is left."""
    with progress_bar("checking") as progress:
        report = repair_store(location, progress)
    output = Output()
    if as_json:
        output.json(report.model_dump())
        return report.after
    if report.backup is not None:
        output.text(Text(one_line(f"the store as it was: {report.backup}")))
    if report.aside is not None:
        output.text(Text(one_line(f"the rows that were damaged: {report.aside}")))
    for done in report.done:
        output.text(Text(one_line(done)))
    _print(report.after, as_json=False)
    return report.after


def _print(report: CheckReport, *, as_json: bool) -> None:
    output = Output()
    if as_json:
        output.json(report.model_dump())
        return
    for problem in report.problems:
        output.text(Text(one_line(str(problem))))
    looked_at = f"{report.histories:,} contexts, {report.blocks:,} blocks, {report.changes:,} changes"
    count = len(report.problems)
    verdict = f"{count:,} problems" if count else "all is as it was written"
    output.text(Text(f"checked {looked_at}: {verdict}"))
