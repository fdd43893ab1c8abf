"""LangChain's `SQLChatMessageHistory`, on SQLite."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from benchmarks.measuring import Unavailable
from benchmarks.stores import directory
from benchmarks.workloads import Append

NOTE = (
    "each message synced, for it leaves SQLite as it is (rollback journal, synchronous=FULL); reads whole histories"
    " only, nothing to follow them by"
)


@contextmanager
def histories() -> Iterator[Callable[[str], Append]]:
    """Gives `add_user_message` of a session."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it announces its own end
            from langchain_community.chat_message_histories import SQLChatMessageHistory
    except ImportError:
        raise Unavailable("langchain-community is not installed: pip install langchain-community") from None
    from sqlalchemy import create_engine

    with directory() as path:
        engine = create_engine(f"sqlite:///{path / 'langchain.db'}")
        try:
            yield lambda context: SQLChatMessageHistory(context, connection=engine).add_user_message
        finally:
            engine.dispose()
