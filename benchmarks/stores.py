"""Stores of the benchmarks' own, in directories that go with them."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final, Literal, TypeAlias

from benchmarks.workloads import Append, AsyncAppend
from chatstore import AsyncChatStore, ChatStore

Durability: TypeAlias = Literal["token", "message", "full"]

UNSYNCED: Final = "token"
DEFAULT: Final = "message"
NOTE_UNSYNCED = 'durability="token": no commit waits for the disk, so a power cut may take the last ones'
NOTE_DEFAULT = "the default: every message is synced"


@contextmanager
def directory() -> Iterator[Path]:
    """A new directory, removed with all that is in it."""
    with tempfile.TemporaryDirectory(prefix="chatstore-benchmark-", ignore_cleanup_errors=True) as path:
        yield Path(path)


@contextmanager
def histories(durability: Durability) -> Iterator[Callable[[str], Append]]:
    """Gives the append of a context of a new store."""
    with directory() as path, ChatStore(path / "chat.db", durability=durability) as store:
        yield lambda context: store.history(context).append_user_message


@asynccontextmanager
async def async_histories(durability: Durability) -> AsyncIterator[Callable[[str], AsyncAppend]]:
    """The same for an event loop."""
    with directory() as path:
        async with AsyncChatStore(path / "chat.db", durability=durability) as store:
            yield lambda context: store.history(context).append_user_message
