"""The empty store of a database, which a copy is made in."""

from __future__ import annotations

from contextlib import AbstractContextManager
from hashlib import blake2b
from typing import Final

from sqlalchemy import Connection

from chatstore.databases.postgres.inspecting import ServerInspector
from chatstore.databases.postgres.listening import is_pooled
from chatstore.databases.postgres.opening import read_identity
from chatstore.databases.postgres.statements import PLACE_BITS
from chatstore.databases.postgres.url import PostgresUrl
from chatstore.errors import StoreBusy, UsageError
from chatstore.operations.prepared import driver

_LOCK: Final = b"chatstore copy"
# From the names alone a planner that has never seen the tables would read all of each.
_FILLED: Final = ("histories", "blocks", "changes", "runs", "tags", "append_keys", "blobs", "block_blobs")


class ServerTarget:
    """A store that `chatstore migrate` made, and nobody wrote to."""

    def __init__(self, url: PostgresUrl) -> None:
        self._schema = url.schema
        self.unfinished: str = f"the schema {url.schema} of {url}"
        self._inspector = ServerInspector(url)
        try:
            if is_pooled(driver(self._inspector.conn)):  # the lock would be that of nobody in particular
                raise UsageError(f"a pooler answers for {url}; copy to the URL of the server itself")
            self.identity: str = read_identity(self._inspector.conn, url, whole=False)
            key = int.from_bytes(blake2b(self.identity.encode(), digest_size=8, key=_LOCK).digest(), signed=True)
            [(alone,)] = self._inspector.rows("SELECT pg_try_advisory_lock(%s)", key)  # until it is closed
            if not alone:
                raise StoreBusy(
                    f"another process is making the copy at {url}; let it finish, or stop it and start again"
                )
        except BaseException:
            self.close()
            raise

    def transaction(self) -> AbstractContextManager[Connection]:
        """One that writes."""
        return self._inspector.transaction()

    def settle(self, conn: Connection, places: list[int]) -> list[int] | None:
        """Sets the sequences, and gives the entries of the log new places where theirs are ahead of the server's."""
        for table in ("histories", "leases"):
            last = f"SELECT max(id) FROM {self._schema}.{table}"
            # Rows were put in with their numbers, which moves no sequence.
            sequence = f"pg_get_serial_sequence('{self._schema}.{table}', 'id')"
            self._inspector.rows(f"SELECT setval({sequence}, coalesce(({last}), 1), ({last}) IS NOT NULL)")
        [(own, last)] = self._inspector.rows(
            f"SELECT pg_current_xact_id()::text::bigint << {PLACE_BITS}, max(id) FROM {self._schema}.changes"
        )
        for table in _FILLED:
            self._inspector.run(f"ANALYZE {self._schema}.{table}")
        return None if last is None or last < own else self._renumber(places)

    def _renumber(self, places: list[int]) -> list[int]:
        log = f"{self._schema}.changes"
        moved = [self._inspector.rows(f"SELECT count(*) FROM {log} WHERE id <= %s", place)[0][0] for place in places]
        self._inspector.run(
            f"UPDATE {log} SET id = ranked.place FROM (SELECT history_id, sequence, row_number() OVER (ORDER BY id)"
            f" AS place FROM {log}) AS ranked"
            " WHERE changes.history_id = ranked.history_id AND changes.sequence = ranked.sequence"
        )
        return moved

    def publish(self) -> None:
        """It is in its place."""

    def close(self) -> None:
        """Closes the connection."""
        self._inspector.close()
