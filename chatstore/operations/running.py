"""Runs: started, ended once, and ended for the dead."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection, bindparam, insert, select, update

from chatstore.errors import RunNotFound
from chatstore.model import Run, RunState, State
from chatstore.operations import growing, over
from chatstore.operations.histories import History
from chatstore.operations.prepared import Prepared, Row
from chatstore.operations.rows import BLOCK_COLUMNS, RUN_COLUMNS, to_run
from chatstore.operations.transaction import ContextRef, Transaction
from chatstore.schema import RUN_ENDED, RUN_STARTED, blocks, histories, is_open, is_running, runs

_BLOCK_STATES: dict[str, State] = {"completed": "closed"}
"""How a run's open blocks end; otherwise like the run."""
_STATE_AT = RUN_COLUMNS.index(runs.c.state)

_ADD = Prepared(insert(runs))
_RUN = Prepared(
    select(*RUN_COLUMNS).where(runs.c.history_id == bindparam("history_id"), runs.c.id == bindparam("run_id"))
)
_END = Prepared(
    update(runs)
    .where(runs.c.history_id == bindparam("history"), runs.c.id == bindparam("run"))
    .values(
        state=bindparam("new_state"),
        error=bindparam("new_error"),
        traceback=bindparam("new_traceback"),
        usage=bindparam("new_usage"),
        ended_at=bindparam("now"),
        lease_id=None,
    )
)
_OPEN_BLOCKS = Prepared(
    select(*BLOCK_COLUMNS)
    .where(blocks.c.history_id == bindparam("history_id"), blocks.c.run_id == bindparam("run_id"), is_open)
    .order_by(blocks.c.index)
)
_CHILDREN = Prepared(
    select(histories.c.context_id, runs.c.id)
    .join(histories, histories.c.id == runs.c.history_id)
    .where(runs.c.parent_run_id == bindparam("run_id"), runs.c.state == "running")
)


@dataclass(frozen=True, slots=True)
class RunEnding:
    """How a run ends; `error`, `traceback` and `usage` where there are any (JSON, text, JSON).

    `rests`: by their index, text of its open blocks that was taken and is not in the log yet.
    """

    state: RunState
    error: str | None = None
    traceback: str | None = None
    usage: str | None = None
    rests: Mapping[int, str] = field(default_factory=dict)


def start_run(
    transaction: Transaction,
    context: ContextRef,
    run_id: str,
    parent_run_id: str | None,
    lease: Callable[[Transaction], int],
) -> Run:
    """Starts a run, in a history that is made if there is none; `lease` takes the lease it is held under."""
    history = transaction.open_history(context)
    lease_id = lease(transaction)
    row = (
        history.id,
        run_id,
        parent_run_id,
        "running",
        None,
        None,
        None,
        transaction.now,
        None,
        history.head + 1,
        lease_id,
    )
    _ADD.many(transaction.conn, [row])
    run = to_run(row, context.context_id)
    transaction.log_run(history, RUN_STARTED, row, run)
    return run


def end_run(transaction: Transaction, context: ContextRef, run_id: str, ending: RunEnding) -> Run:
    """Ends a run and what is open of it. Raises RunOver if it has ended already."""
    history, row = _find(transaction, context, run_id)
    over.check_running(transaction, history, run_id)
    return _end(transaction, history, context.context_id, row, ending)


def cancel_run(transaction: Transaction, context: ContextRef, run_id: str) -> Run:
    """Ends a run as cancelled, with the runs that are part of it; one that has ended stays as it is."""
    history, row = _find(transaction, context, run_id)
    if row[_STATE_AT] != "running":
        return to_run(row, context.context_id)
    for context_id, child in _CHILDREN.all(transaction.conn, run_id=run_id):
        cancel_run(transaction, ContextRef(context_id), child)
    return _end(transaction, history, context.context_id, row, RunEnding("cancelled"))


def _find(transaction: Transaction, context: ContextRef, run_id: str) -> tuple[History, Row]:
    history = transaction.history(context.context_id)
    row = None if history is None else _RUN.first(transaction.conn, history_id=history.id, run_id=run_id)
    if history is None or row is None:
        raise RunNotFound(f"no run {run_id} in this history")
    return history, row


def _end(transaction: Transaction, history: History, context_id: str, row: Row, ending: RunEnding) -> Run:
    run_id = row[1]
    block_ending = growing.Ending(_BLOCK_STATES.get(ending.state, ending.state))  # type: ignore[arg-type]
    transaction.flush_blocks()
    for block in _OPEN_BLOCKS.all(transaction.conn, history_id=history.id, run_id=run_id):
        growing.end_row(transaction, history, context_id, block, block_ending, ending.rests.get(block[1], ""))
    _END.run(
        transaction.conn,
        history=history.id,
        run=run_id,
        new_state=ending.state,
        new_error=ending.error,
        new_traceback=ending.traceback,
        new_usage=ending.usage,
        now=transaction.now,
    )
    ended = _RUN.first(transaction.conn, history_id=history.id, run_id=run_id)
    assert ended is not None
    run = to_run(ended, context_id)
    transaction.log_run(history, RUN_ENDED, ended, run)
    return run


_RUNNING_OF = Prepared(
    select(histories.c.context_id, runs.c.id)
    .join(histories, histories.c.id == runs.c.history_id)
    .where(runs.c.lease_id == bindparam("lease_id"), is_running)
)
_OPEN_OF = Prepared(
    select(histories.c.context_id, *BLOCK_COLUMNS)
    .join(histories, histories.c.id == blocks.c.history_id)
    .where(blocks.c.lease_id == bindparam("lease_id"), is_open)
)


def interrupt(transaction: Transaction, lease_id: int) -> int:
    """Ends, as interrupted, every run and block that a lease holds open; how many there were."""
    held = _RUNNING_OF.all(transaction.conn, lease_id=lease_id)
    alone = _OPEN_OF.all(transaction.conn, lease_id=lease_id)
    transaction.hold(context_id for context_id, *_ in (*held, *alone))
    for context_id, run_id in held:
        end_run(transaction, ContextRef(context_id), run_id, RunEnding("interrupted"))
    alone = _OPEN_OF.all(transaction.conn, lease_id=lease_id)
    for context_id, *row in alone:
        history = transaction.history(context_id)
        assert history is not None
        growing.end_row(transaction, history, context_id, tuple(row), growing.Ending("interrupted"))
    return len(held) + len(alone)


def find_run(conn: Connection, context_id: str, run_id: str) -> Run:
    """One run. Raises RunNotFound."""
    row = _FIND.first(conn, context_id=context_id, run_id=run_id)
    if row is None:
        raise RunNotFound(f"no run {run_id} in this history")
    return to_run(row, context_id)


def list_runs(conn: Connection, context_id: str) -> list[Run]:
    """The runs of a history, in the order they started."""
    return [to_run(row, context_id) for row in _LIST.all(conn, context_id=context_id)]


_OF_CONTEXT = (
    select(*RUN_COLUMNS)
    .join(histories, histories.c.id == runs.c.history_id)
    .where(histories.c.context_id == bindparam("context_id"))
)
_FIND = Prepared(_OF_CONTEXT.where(runs.c.id == bindparam("run_id")))
_LIST = Prepared(_OF_CONTEXT.order_by(runs.c.sequence))
