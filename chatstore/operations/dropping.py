"""Removing bytes that no block has any more."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, delete, exists, select

from chatstore.operations.prepared import Prepared
from chatstore.schema import blobs, block_blobs

# A transaction that refers to bytes which are there already holds their row until it has committed (see `appending`).
# So this waits for it, and then looks for references in a second statement: one that had waited within itself would
# still see none. Every transaction takes several such rows in the order of their digests.
_HOLD = Prepared(select(blobs.c.digest).where(blobs.c.digest == bindparam("blob")).with_for_update())
_DROP = Prepared(
    delete(blobs).where(blobs.c.digest == bindparam("blob"), ~exists().where(block_blobs.c.digest == bindparam("blob")))
)


def drop_blob(conn: Connection, digest: bytes) -> None:
    """Removes bytes, if nothing refers to them."""
    _HOLD.run(conn, blob=digest)
    _DROP.run(conn, blob=digest)
