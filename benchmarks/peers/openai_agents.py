"""OpenAI Agents' `SQLiteSession`, in a file."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager, closing

from benchmarks.measuring import Unavailable
from benchmarks.stores import directory
from benchmarks.workloads import AsyncAppend

NOTE = (
    "each call synced (WAL, synchronous=FULL); messages are JSON that nothing is found by, the last ones can be read;"
    " no cursor, nothing to follow them by"
)

NOTE_UNSYNCED = "the same, with synchronous=NORMAL set on its connections, which it has no option for"


@asynccontextmanager
async def sessions(synchronous: str | None = None) -> AsyncIterator[Callable[[str], AsyncAppend]]:
    """Gives `add_items` of a session. Of its own accord it leaves `synchronous` as SQLite has it, which is FULL."""
    try:
        from agents import SQLiteSession
    except ImportError:
        raise Unavailable("openai-agents is not installed: pip install openai-agents") from None

    class Session(SQLiteSession):
        """With another setting than its own, where one is given."""

        @staticmethod
        def _configure_connection(conn: sqlite3.Connection) -> None:
            SQLiteSession._configure_connection(conn)
            if synchronous is not None:
                conn.execute(f"PRAGMA synchronous={synchronous}")

    with directory() as path, ExitStack() as stack:

        def appender(context: str) -> AsyncAppend:
            session = stack.enter_context(closing(Session(context, path / "agents.db")))
            return lambda text: session.add_items([{"role": "user", "content": text}])

        yield appender
