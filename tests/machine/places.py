"""Where a machine's stores are: one after the other, each of them new. A machine does not ask of what kind they are."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any, Protocol

import postgres_server
import psycopg

MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None


class Places(Protocol):
    """Gives the location of a store that nobody has written to, and takes it back."""

    def take(self) -> Any:
        """The location."""

    def cut(self, location: Any) -> None:
        """Ends every connection that anybody has to a store; a file has none."""

    def give_back(self, location: Any) -> None:
        """Removes what is there."""

    def warm(self) -> str:
        """The location of a store that a process may use before it is given any."""

    def close(self) -> None:
        """Removes what is left."""


class Files:
    """Paths; in memory where there is such a room, if nothing is to be synced."""

    def __init__(self, *, synced: bool = False) -> None:
        self._room = Path(tempfile.mkdtemp(dir=None if synced else MEMORY))

    def take(self) -> str:
        return str(Path(tempfile.mkdtemp(dir=self._room)) / "chat.db")

    def cut(self, location: str) -> None:
        """Nothing to do."""

    def give_back(self, location: str) -> None:
        shutil.rmtree(Path(location).parent)

    def warm(self) -> str:
        return self.take()

    def close(self) -> None:
        shutil.rmtree(self._room)


class Server:
    """One database, emptied for every store and named anew."""

    def __init__(self) -> None:
        self._url = postgres_server.new_store()
        self._conn = psycopg.connect(self._url, autocommit=True)

    def take(self) -> str:
        postgres_server.empty(self._conn)
        return self._url

    def cut(self, location: str) -> None:
        self._conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )

    def give_back(self, location: str) -> None:
        """It is emptied for the next one."""

    def warm(self) -> str:
        return self.take()

    def close(self) -> None:
        self._conn.close()
        postgres_server.drop(self._url)
