"""Whether the store is still the one that was opened: another can be restored into the same files.

What SQLite restores comes as a commit of somebody else: after each, the store is compared with what this process knows.
What is copied over the file by other means, `StoreFiles` sees.
"""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import BigInteger, Connection, bindparam, cast, func, select

from chatstore.operations.prepared import Prepared
from chatstore.operations.retaining import PRUNED
from chatstore.operations.transaction import Proof
from chatstore.schema import changes, histories, store_info

_IDENTITY = select(store_info.c.value).where(store_info.c.name == "identity").scalar_subquery()
_PRUNED = select(cast(store_info.c.value, BigInteger)).where(store_info.c.name == PRUNED).scalar_subquery()
_NEWEST = select(func.max(changes.c.id)).scalar_subquery()
_HEAD = select(histories.c.head).where(histories.c.id == bindparam("history")).scalar_subquery()
_FOUND = Prepared(select(_IDENTITY, func.max(func.coalesce(_NEWEST, 0), func.coalesce(_PRUNED, 0)), _HEAD))


class Found(NamedTuple):
    """Whose a store is, how far its log goes, and how far that of one history. Neither ever goes back: what retention
    removes is noted."""

    identity: str
    place: int
    head: int


def _find(conn: Connection, history: int = 0) -> Found | None:
    row = _FOUND.first(conn, history=history)
    return None if row is None or row[0] is None else Found(str(row[0]), int(row[1]), int(row[2] or 0))


class Past:
    """What this process knows to be committed: a store without it was restored from an older one, or is another."""

    def __init__(self, identity: str) -> None:
        self._identity = identity
        self._place = 0
        self._last: Proof | None = None

    def committed(self, proof: Proof | None) -> None:
        """Takes note of the last entry of a commit of our own."""
        self._last = proof or self._last

    def goes_on(self, conn: Connection) -> bool:
        """Whether all of it is there; asked when somebody else has committed."""
        place, last = self._place, self._last  # before it is read: another thread may commit meanwhile
        found = _find(conn, 0 if last is None else last.history_id)
        if found is None or found.identity != self._identity or found.place < place:
            return False
        self._place = found.place
        return last is None or found.head >= last.sequence
