"""Leases: by which processes show that they live, so that what they have open is ended when they do not."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import BigInteger, Connection, bindparam, delete, exists, insert, literal_column, select, update

from chatstore.operations import checksums, running
from chatstore.operations.prepared import Prepared, next_number
from chatstore.operations.transaction import Transaction
from chatstore.schema import blocks, is_open, is_running, leases, runs


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
    if row is not None and row[0]:
        return False
    _DROP.run(transaction.conn, lease=lease_id)
    return True


def take_away(transaction: Transaction, lease_id: int, beats: int | None = None) -> int:
    """Ends what a dead process left open, and its lease, unless something stays open; how much ended.

    `beats`: as often it was renewed when it was taken for dead. If it was since, it lives. The lease is held before
    anything is looked for: its holder may be alive yet, and open something under it now.
    """
    held = _HOLD.first(transaction.conn, lease=lease_id)
    if held is None or (beats is not None and held[0] != beats):
        return 0
    ended, damaged = running.interrupt(transaction, lease_id)
    if not damaged:
        _DROP.run(transaction.conn, lease=lease_id)
    return ended
