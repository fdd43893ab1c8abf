"""`chatstore runs` and `chatstore cancel`: requests being answered, and stopping one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated

import typer
from rich.text import Text

from chatstore.cli.options import DEFAULT_STORE, JsonOption, KeyOption, StoreOption, context_of
from chatstore.cli.output import Output
from chatstore.cli.reading import all_contexts, existing_history, open_to_read
from chatstore.cli.render import lasted, state_text, when
from chatstore.cli.running import fail
from chatstore.cli.safe import json_line, one_line
from chatstore.errors import RunNotFound
from chatstore.history import History
from chatstore.model import Run
from chatstore.store import ChatStore

_INDENT = 13

RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="The run's id, as `chatstore runs` prints it.")]
SomeContextArgument = Annotated[
    str | None,
    typer.Argument(metavar="CONTEXT", help="The context's id; all contexts where it is left out.", show_default=False),
]


def runs_command(
    context: SomeContextArgument = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Lists the runs of a context, or of all contexts; the newest last."""
    named = context_of(context, key) if context is not None or key else None
    output = Output()
    with open_to_read(store) as opened:
        found = _of_all(opened) if named is None else existing_history(opened, named).runs()
    for run in found:
        if as_json:
            output.json(run.model_dump(mode="json"))
        elif output.width is None:
            output.line("\t".join(_row(run)))
        else:
            output.text(_shown(run, with_context=named is None))


def cancel_command(
    run: RunArgument,
    context: SomeContextArgument = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Stops a run, with the runs that are part of it.

    What it wrote until then stays; whoever works on it is told by their next write. A run that ended otherwise
    stays as it is, and the exit code is 1.
    """
    named = context_of(context, key) if context is not None or key else None
    with open_to_read(store) as opened:
        history = _of_run(opened, run) if named is None else existing_history(opened, named)
        cancelled = history.cancel_run(run)
    if cancelled.state != "cancelled":
        fail(f"run {run} had ended before: {cancelled.state}")
    if as_json:
        Output().json(cancelled.model_dump(mode="json"))
    else:
        Output().line(f"{one_line(cancelled.id)} cancelled")


def _of_all(store: ChatStore) -> list[Run]:
    """The runs of all contexts. What happened in different contexts has no order but that of the clocks."""
    found = (run for context in all_contexts(store) for run in store.history(context.context_id).runs())
    return sorted(found, key=lambda run: (run.started_at, run.id))


def _of_run(store: ChatStore, run_id: str) -> History:
    """The history of a run; a run is looked up within a context only, so each is asked."""
    for context in all_contexts(store):
        history = store.history(context.context_id)
        try:
            history.get_run(run_id)
        except RunNotFound:
            continue
        return history
    raise RunNotFound(f"there is no run {run_id} in {store.location}; `chatstore runs` lists those that are")


def _row(run: Run) -> Iterator[str]:
    usage = "" if run.usage is None else json_line(run.usage)
    words = (run.id, run.state, when(run.started_at), lasted(run), _error(run), usage, run.parent_run_id or "")
    yield from map(one_line, (*words, run.context_id))


def _error(run: Run) -> str:
    return "" if run.error is None else f"{run.error.type}: {run.error.message}"


def _shown(run: Run, *, with_context: bool) -> Text:
    text = state_text(run)
    text.pad_right(_INDENT - len(text))
    shown = Text.assemble(text, (f"{when(run.started_at)} {lasted(run):>13}", "dim"), f"  {one_line(run.id)}")
    if with_context:
        shown.append(f"  {one_line(run.context_id)}", "cyan")
    for words, style in _details(run).items():
        shown.append(f"\n{' ' * _INDENT}{one_line(words)}", style)
    return shown


def _details(run: Run) -> Mapping[str, str]:
    """What is not said of every run, with its style."""
    found = {
        _error(run): "red",
        "" if run.usage is None else f"usage {json_line(run.usage)}": "dim",
        "" if run.parent_run_id is None else f"part of {run.parent_run_id}": "dim",
    }
    return {words: style for words, style in found.items() if words}
