"""Removing bytes that no block has any more."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, delete, exists, select

from chatstore.operations.prepared import Prepared
from chatstore.schema import blobs, block_blobs

# Whoever refers to bytes that are there already holds their row until it has committed (see `appending`). So this
# waits for it, and then looks for references with a statement of its own: one that had to wait within itself would
# still see none. Rows are taken in the order of their digests by all, as each may have several.
_HOLD = Prepared(select(blobs.c.digest).where(blobs.c.digest == bindparam("blob")).with_for_update())
_DROP = Prepared(
    delete(blobs).where(blobs.c.digest == bindparam("blob"), ~exists().where(block_blobs.c.digest == bindparam("blob")))
)


def drop_blob(conn: Connection, digest: bytes) -> None:
    """Removes bytes, if nothing refers to them."""
    _HOLD.run(conn, blob=digest)
    _DROP.run(conn, blob=digest)
