"""`chatstore erase`: removing a context for good."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from chatstore.cli.options import DEFAULT_STORE, ContextArgument, KeyOption, StoreOption, context_of, is_remote
from chatstore.cli.output import Output
from chatstore.cli.reading import existing_history, open_to_read
from chatstore.cli.running import fail, note
from chatstore.cli.safe import one_line
from chatstore.databases.repairing import left_by_repairs
from chatstore.errors import ContextErased

YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def erase_command(
    context: ContextArgument = None, key: KeyOption = None, yes: YesOption = False, store: StoreOption = DEFAULT_STORE
) -> None:
    """Removes a context and everything in it, for good, from all of the store's files.

    Who follows it is told, and its name is not used again. At the end the file is built anew: about 2 s for 100 MB, in
    which nobody else writes. Backups and exports are not reached, nor what repairs left beside the store: the store as
    it was before, and damaged rows. Such files are named, where there are any.
    """
    named = context_of(context, key)
    with open_to_read(store) as opened:
        history = opened.history(named)
        try:
            count = existing_history(opened, named).count()
        except ContextErased:
            history.erase()  # whoever began it may not have come to its end
            Output().line(f"{one_line(history.context_id)} was erased before; nothing of it is left")
            return
        if not yes:
            _ask(history.context_id, count)
        history.erase()
        left = [] if is_remote(store) else left_by_repairs(store)
    Output().line(f"{one_line(history.context_id)} erased: {count:,} blocks")
    for file in left:
        note(f"{file} was left by a repair, and may hold what was erased; remove it when it is not needed any more")


def _ask(context_id: str, count: int) -> None:
    if not sys.stdin.isatty():
        fail("nobody is there to be asked; with --yes it is erased at once")
    if not typer.confirm(f"Erase {one_line(context_id)}, {count:,} blocks, for good?"):
        fail("nothing was erased")
