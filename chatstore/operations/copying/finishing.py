"""Making a store of a copy: what it is a copy of, and an end for what was open."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from sqlalchemy import Connection, delete, func, select

from chatstore.cursor import CursorFactory
from chatstore.errors import StorageError
from chatstore.operations import leases, retaining
from chatstore.operations.copying import histories, origins
from chatstore.operations.copying.origins import Origin
from chatstore.operations.copying.rows import Rows
from chatstore.operations.prepared import Prepared, Row
from chatstore.operations.transaction import Transaction
from chatstore.schema import blobs, changes, context_keys, runs
from chatstore.schema import leases as leases_table

_LEASES = Rows(leases_table, "id")
_NO_LEASES = Prepared(delete(leases_table))
_COUNTS = Prepared(select(*(select(func.count()).select_from(one).scalar_subquery() for one in (changes, runs, blobs))))
_KEYS = Prepared(select(func.count()).select_from(context_keys))


def compare(source: Connection, target: Connection) -> None:
    """Raises StorageError where the copy has other histories than were copied."""
    if histories.sum_of(histories.every(target)) != histories.sum_of(histories.every(source)) or _KEYS.all(
        target
    ) != _KEYS.all(source):
        raise StorageError("the copy has what was not copied: somebody else wrote to it; remove it, and copy again")


def counts(conn: Connection) -> Row:
    """How many entries of the log, runs, and bytes of parts there are."""
    [found] = _COUNTS.all(conn)
    return found


def remember(
    source: Connection, target: Connection, settle: Callable[[Connection, list[int]], list[int] | None]
) -> bool:
    """Keeps in the copy where it comes from; whether its log has kept its places."""
    before = origins.origins(source)
    pruned = retaining.pruned(source)
    marks = [origins.last_place(target), *(one.until for one in before), *([] if pruned is None else [pruned])]
    moved = settle(target, marks)
    last, *places = marks if moved is None else moved
    if pruned is not None:
        origins.set_info(target, retaining.PRUNED, str(places.pop()))
    kept = moved is None
    identity = origins.info(source, "identity")
    assert identity is not None
    stores = [Origin(one.identity, at, one.places_kept and kept) for one, at in zip(before, places, strict=True)]
    origins.set_origins(target, [Origin(identity, last, kept), *stores])
    return kept


def copy_leases(source: Connection, target: Connection) -> None:
    """Copies the leases of the source, for what is open in the copy is under them."""
    _NO_LEASES.run(target)
    for page in _LEASES.pages(source, -(2**63), 2**63 - 1):
        _LEASES.put(target, page)


def interrupt(target: Connection, identity: str) -> int:
    """Ends what is open, as if the processes that had it open were dead; how many runs and blocks there were."""
    transaction = Transaction(target, partial(CursorFactory, identity), {})
    # All in the transaction that is open: nobody waits for it, in a copy that is not in its place yet.
    ended = sum([leases.take_away(lambda write: write(transaction), lease.id) for lease in leases.all_leases(target)])
    transaction.finish()
    return ended
