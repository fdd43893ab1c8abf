"""Whether a run still takes writes."""

from __future__ import annotations

from sqlalchemy import bindparam, select

from chatstore.errors import RunCancelled, RunInterrupted, RunOver
from chatstore.operations.histories import History
from chatstore.operations.prepared import Prepared
from chatstore.operations.transaction import Transaction
from chatstore.schema import runs

_STATE = Prepared(
    select(runs.c.state).where(runs.c.history_id == bindparam("history_id"), runs.c.id == bindparam("run_id"))
)


def check_running(transaction: Transaction, history: History | None, run_id: str) -> None:
    """Refuses a write into a run that has ended. A run id that the store knows nothing of is a caller's own."""
    # Read each time, and never remembered: any process may cancel a run.
    row = None if history is None else _STATE.first(transaction.conn, history_id=history.id, run_id=run_id)
    if row is not None and row[0] != "running":
        raise error(row[0], run_id)


def error(state: str, run_id: str | None) -> RunOver:
    """The error for a write into a run that ended in this state."""
    if state == "cancelled":
        return RunCancelled(f"run {run_id} was cancelled; stop working on it")
    if state == "interrupted":
        what = "the block" if run_id is None else f"run {run_id}"
        return RunInterrupted(f"{what} was ended as interrupted, its process seemed dead; start a new run")
    return RunOver(f"run {run_id} has {state}; start a new run")
