"""Leases: by them processes show that they live. When one does not any more, what it has open is ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from sqlalchemy import BigInteger, Connection, bindparam, delete, exists, insert, literal_column, select, update

from chatstore.operations import checksums, running
from chatstore.operations.prepared import Prepared, next_number
from chatstore.operations.transaction import Transaction
from chatstore.schema import blocks, is_open, is_running, leases, runs

Step: TypeAlias = tuple[int, int | None]
"""How many runs and blocks ended, and the last history in which some did; None: there is no more."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease as others see it: whose it is, how long a silence it stands, and how often it was renewed."""

    id: int
    machine: str
    pid: int
    started: int
    seconds: int
    beats: int


_ALL = Prepared(select(*(leases.c[name] for name in Lease.__annotations__)))
_GIVEN = ("machine", "pid", "started", "seconds")
_numbered = select(next_number(leases.c.id).label("id")).correlate(None).subquery()
_TAKE = Prepared(
    insert(leases)
    .from_select(
        ["id", *_GIVEN, "beats", "checksum"],
        select(
            _numbered.c.id,
            *(bindparam(name, type_=leases.c[name].type) for name in _GIVEN),
            literal_column("0"),
            bindparam("checksum", type_=BigInteger) + _numbered.c.id * literal_column(str(1 << checksums.HALF)),
        ),
    )
    .returning(leases.c.id)
)
# The checksum counts the beats, too: a beat that nobody made is found, and one that is made says nothing of the rest.
_RENEW = Prepared(
    update(leases)
    .where(leases.c.id == bindparam("lease"))
    .values(beats=leases.c.beats + 1, checksum=leases.c.checksum + 1)
)
_HOLD = Prepared(select(leases.c.beats).where(leases.c.id == bindparam("lease")).with_for_update())
_DROP = Prepared(delete(leases).where(leases.c.id == bindparam("lease")))
_HOLDS = Prepared(
    select(
        exists(select(runs.c.id).where(runs.c.lease_id == bindparam("lease"), is_running))
        | exists(select(blocks.c.id).where(blocks.c.lease_id == bindparam("lease"), is_open))
    )
)


def all_leases(conn: Connection) -> list[Lease]:
    """Every lease of the store."""
    return [Lease(*row) for row in _ALL.all(conn)]


def take(transaction: Transaction, machine: str, pid: int, started: int, seconds: int) -> int:
    """A new lease; its id."""
    own = checksums.of_lease(machine, pid, started, seconds)
    row = _TAKE.first(transaction.conn, machine=machine, pid=pid, started=started, seconds=seconds, checksum=own)
    assert row is not None
    return int(row[0])


def renew(transaction: Transaction, lease_id: int) -> bool:
    """Shows that the holder lives. False: the lease was taken away."""
    return _RENEW.changed(transaction.conn, lease=lease_id) == 1


def drop(transaction: Transaction, lease_id: int) -> bool:
    """Gives a lease back, if nothing is open under it."""
    transaction.flush()
    row = _HOLDS.first(transaction.conn, lease=lease_id)
    # What is damaged was left open (see `running.interrupt`): with its lease gone, nobody would ever end it.
    if row is not None and row[0]:
        return False
    _DROP.run(transaction.conn, lease=lease_id)
    return True


def take_away(run: Callable[[Callable[[Transaction], Step]], Step], lease_id: int, beats: int | None = None) -> int:
    """Ends what a dead process left open, a few histories at a time, and its lease, unless something stays open; how
    much ended. `run` commits a write.

    `beats`: how often the lease had been renewed when its holder was taken for dead. If it has been renewed since, the
    holder lives, and nothing is done.
    """
    ended, after = 0, 0
    while True:
        # In steps, each with the next histories: one transaction for thousands would fill a server's table of locks,
        # and keep all other writers of a file waiting.
        count, last = run(partial(_take_some, lease_id=lease_id, beats=beats, after=after))
        ended += count
        if last is None:
            return ended
        after = last


def _take_some(transaction: Transaction, lease_id: int, beats: int | None, after: int) -> Step:
    """The lease is held before anything is looked for: its holder may be alive yet, and open something under it now."""
    held = _HOLD.first(transaction.conn, lease=lease_id)
    if held is None or (beats is not None and held[0] != beats):
        return 0, None
    ended, last = running.interrupt(transaction, lease_id, after)
    if last is None:
        drop(transaction, lease_id)
    return ended, last
