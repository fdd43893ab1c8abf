"""`chatstore check`: compares all that is stored with the log and its checksums."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Annotated

import typer
from rich.text import Text

from chatstore.cli.options import DEFAULT_STORE, JsonOption, StoreArgument, StoreOption, of_this_machine
from chatstore.cli.output import Output
from chatstore.cli.progress import progress_bar
from chatstore.cli.reading import all_contexts, open_to_read
from chatstore.cli.running import FAILED
from chatstore.cli.safe import one_line
from chatstore.databases.repairing import repair_store
from chatstore.errors import ChatStoreError
from chatstore.operations.integrity.checking import CheckReport
from chatstore.store import ChatStore


def check_command(
    path: StoreArgument = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Put back what can be proved, and mark the rest as damaged.")
    ] = False,
    as_json: JsonOption = False,
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Looks whether all that is stored is as it was written, and names what is not: context, block, and what is wrong.

    Others may go on writing. A repair makes a backup first, and keeps every damaged row in a file beside the store;
    both are named. The exit code is 1 where anything is damaged, or where a repair could not restore everything. What
    an earlier repair marked as damaged is named too, and is no problem.
    """
    location = store if path is None else path
    if not (_repair if repair else _check)(location, as_json=as_json):
        raise typer.Exit(FAILED)


def _check(location: str, *, as_json: bool) -> bool:
    """Checks a store, and says what was found; whether all is well."""
    with open_to_read(location) as opened, progress_bar("checking") as progress:
        report = opened.check(progress=progress)
        marked = [*_marked(opened)]
    if as_json:
        Output().json({**report.model_dump(), "marked": marked})
        return not report.problems
    _say(*map(str, report.problems), *(f"{block}: was marked as damaged by a repair" for block in marked))
    but = f", but for {len(marked):,} blocks that a repair could not restore" if marked else ""
    _say(_verdict(report, f"all is as it was written{but}"))
    return not report.problems


def _marked(store: ChatStore) -> Iterator[str]:
    """The blocks that a repair could not restore, as far as the store can be read."""
    with suppress(ChatStoreError):
        for context in all_contexts(store):
            for block in store.history(context.context_id).get_messages(tags=[("chatstore", "damaged")]):
                yield f"context {context.context_id!a}, block {block.index}"


def _repair(location: str, *, as_json: bool) -> bool:
    """Repairs a store, and says what was done and what is left; whether all was restored."""
    with progress_bar("checking") as progress:
        report = repair_store(of_this_machine(location, "check --repair"), progress)
    if as_json:
        Output().json({**report.model_dump(), "lost": report.lost})
    else:
        if report.backup is not None:
            _say(f"the store as it was: {report.backup}")
        if report.aside is not None:
            _say(f"the rows that were damaged: {report.aside}")
        _say(*report.done, *map(str, report.after.problems))
        lost = f"sound again, but {len(report.lost):,} things could not be restored; they are named above"
        _say(_verdict(report.after, lost if report.lost else "all is as it was written"))
    return not report.after.problems and not report.lost


def _verdict(report: CheckReport, sound: str) -> str:
    looked_at = f"{report.histories:,} contexts, {report.blocks:,} blocks, {report.changes:,} changes"
    return f"checked {looked_at}: {f'{len(report.problems):,} problems' if report.problems else sound}"


def _say(*lines: str) -> None:
    output = Output()
    for line in lines:
        output.text(Text(one_line(line)))
