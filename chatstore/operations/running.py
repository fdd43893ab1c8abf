"""Runs: started, ended once, and ended for the dead."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Connection, bindparam, insert, select, union, update

from chatstore.errors import RunNotFound, StoreDamaged
from chatstore.limits import DEFAULT, Limits
from chatstore.model import Run, RunState, State
from chatstore.operations import growing, over, proving
from chatstore.operations.histories import History
from chatstore.operations.prepared import Prepared, Row
from chatstore.operations.rows import RUN_COLUMNS, to_run
from chatstore.operations.transaction import ContextRef, Transaction
from chatstore.schema import RUN_ENDED, RUN_STARTED, blocks, histories, is_open, is_running, runs

_BLOCK_STATES: dict[str, State] = {"completed": "closed"}
"""How a run's open blocks end; otherwise like the run."""
_STATE_AT = RUN_COLUMNS.index(runs.c.state)

_ADD = Prepared(insert(runs))
_RUN = Prepared(proving.runs_where(runs.c.history_id == bindparam("history_id"), runs.c.id == bindparam("run_id")))
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
    proving.blocks_where(
        blocks.c.history_id == bindparam("history_id"), blocks.c.run_id == bindparam("run_id"), is_open
    ).order_by(blocks.c.index)
)
_CHILDREN = Prepared(
    select(histories.c.context_id, runs.c.id)
    .join(histories, histories.c.id == runs.c.history_id)
    .where(runs.c.parent_run_id == bindparam("run_id"), runs.c.state == "running")
    .order_by(runs.c.history_id, runs.c.sequence)
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
    rests: Mapping[int, growing.Rest] = field(default_factory=dict)
    limits: Limits = DEFAULT


@dataclass(frozen=True, slots=True)
class _Held:
    """A run that is not over, as it is proved to be, with what is open of it."""

    context_id: str
    history: History
    row: Row
    last: Row
    open: list[growing.Grown]


def start_run(
    transaction: Transaction,
    context: ContextRef,
    run_id: str,
    parent_run_id: str | None,
    lease: Callable[[Transaction], int],
) -> Run:
    """Starts a run, in a history that is made if there is none; `lease` takes the lease it is held under."""
    history = transaction.open_history(context)
    # Within this transaction: a run that is stored is always under a lease, or nobody would end it for its process.
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
    history, found = _find(transaction, context, run_id)
    over.check_running(transaction, history, run_id)
    return _end(transaction, _held(transaction, context, history, found), ending)


def cancel_run(transaction: Transaction, context: ContextRef, run_id: str) -> Run:
    """Ends a run as cancelled, with the runs that are part of it; one that has ended stays as it is."""
    history, found = _find(transaction, context, run_id)
    if found[_STATE_AT] != "running":
        return to_run(found, context.context_id)
    # All are proved before the first is ended: what is refused changes nothing.
    held = _with_parts(transaction, context, history, found)
    *_, ended = [_end(transaction, one, RunEnding("cancelled")) for one in held]
    return ended


def _with_parts(transaction: Transaction, context: ContextRef, history: History, found: Row) -> list[_Held]:
    """A run that is not over behind the runs that are part of it."""
    parts: list[_Held] = []
    for context_id, part in _CHILDREN.all(transaction.conn, run_id=found[1]):
        of_part = ContextRef(context_id)
        parts += _with_parts(transaction, of_part, *_find(transaction, of_part, part))
    return [*parts, _held(transaction, context, history, found)]


def _find(transaction: Transaction, context: ContextRef, run_id: str) -> tuple[History, Row]:
    """A run's row, with its start in the log. Raises RunNotFound."""
    history = transaction.history(context.context_id)
    transaction.flush()
    row = None if history is None else _RUN.first(transaction.conn, history_id=history.id, run_id=run_id)
    if history is None or row is None:
        raise RunNotFound(f"no run {run_id} in this history")
    return history, row


def _held(transaction: Transaction, context: ContextRef, history: History, found: Row) -> _Held:
    """Raises StoreDamaged where something of it is not as it was written."""
    row, last = proving.proved_run(found)
    growing_blocks = _OPEN_BLOCKS.all(transaction.conn, history_id=history.id, run_id=row[1])
    held = [growing.grown(transaction, block) for block in growing_blocks]
    return _Held(context.context_id, history, row, last, held)


def _end(transaction: Transaction, held: _Held, ending: RunEnding) -> Run:
    history, run_id = held.history, held.row[1]
    state = _BLOCK_STATES.get(ending.state, ending.state)
    block_ending = growing.Ending(state, limits=ending.limits)  # type: ignore[arg-type]
    for block in held.open:
        rest = ending.rests.get(block.row[1], growing.NOTHING)
        growing.end_grown(transaction, history, held.context_id, block, block_ending, rest)
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
    last = (ending.state, ending.error, ending.traceback, ending.usage)
    _, id, parent, *_, started_at, _, started, _ = held.row
    ended = (history.id, id, parent, *last, started_at, transaction.now, started, None)
    run = to_run(ended, held.context_id)
    transaction.log_run(history, RUN_ENDED, ended, run, held.last)
    return run


INTERRUPTED: Final = 100
"""Histories in which one transaction ends what the dead left, at most: others wait for it, and it has to hold them."""
_some_left = union(
    *(
        select(table.c.history_id).where(
            table.c.lease_id == bindparam("lease_id"), unfinished, table.c.history_id > bindparam("after")
        )
        for table, unfinished in ((runs, is_running), (blocks, is_open))
    )
).subquery()
_LEFT_IN = Prepared(select(_some_left.c.history_id).order_by(_some_left.c.history_id).limit(INTERRUPTED))
_RUNNING_OF = Prepared(
    select(histories.c.context_id, runs.c.id)
    .join(histories, histories.c.id == runs.c.history_id)
    .where(runs.c.lease_id == bindparam("lease_id"), is_running)
    .where(runs.c.history_id.between(bindparam("first"), bindparam("last")))
    .order_by(runs.c.history_id, runs.c.sequence.desc())  # parts before what they are part of
)
_OPEN_OF = Prepared(
    select(histories.c.context_id, blocks.c.index)
    .join(histories, histories.c.id == blocks.c.history_id)
    .where(blocks.c.lease_id == bindparam("lease_id"), is_open)
    .where(blocks.c.history_id.between(bindparam("first"), bindparam("last")))
    .order_by(blocks.c.history_id, blocks.c.index)
)


def interrupt(transaction: Transaction, lease_id: int, after: int = 0) -> tuple[int, int | None]:
    """Ends, as interrupted, the runs and blocks that a lease holds open, in the next histories behind one; how many
    there were, and the last of these histories, or None if there is none.

    What is damaged stays open until it is repaired: its last words are not sealed as they are.
    """
    left = [id for (id,) in _LEFT_IN.all(transaction.conn, lease_id=lease_id, after=after)]
    if not left:
        return 0, None
    these = {"lease_id": lease_id, "first": left[0], "last": left[-1]}
    held = _RUNNING_OF.all(transaction.conn, **these)
    alone = _OPEN_OF.all(transaction.conn, **these)
    # Named before the first is ended: where histories are locked one by one, the transaction begins anew with all of
    # them, in one order.
    transaction.hold(context_id for context_id, _ in (*held, *alone))
    ended = 0
    for context_id, run_id in held:
        with suppress(StoreDamaged):
            end_run(transaction, ContextRef(context_id), run_id, RunEnding("interrupted"))
            ended += 1
    # Asked again: what belonged to a run has ended with it.
    for context_id, index in _OPEN_OF.all(transaction.conn, **these):
        with suppress(StoreDamaged):
            growing.end_block(
                transaction, ContextRef(context_id), index, growing.NOTHING, growing.Ending("interrupted")
            )
            ended += 1
    return ended, left[-1]


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
