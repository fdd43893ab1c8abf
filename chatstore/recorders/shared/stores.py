"""Which store an adapter was given: what writes in an event loop cannot write into a store for threads."""

from __future__ import annotations

from typing import Any

from chatstore.async_store import AsyncChatStore
from chatstore.errors import InvalidInput, UsageError
from chatstore.store import ChatStore


def async_store(store: Any, taker: str) -> AsyncChatStore:
    """The store: of a file, a database or at an address. `taker` is who was given it.

    Raises UsageError for a ChatStore, and InvalidInput for what is no store.
    """
    if isinstance(store, AsyncChatStore):
        return store
    if isinstance(store, ChatStore):
        raise UsageError(f"{taker} takes an AsyncChatStore, not a ChatStore, which is for threads")
    raise InvalidInput(f"{taker} takes an AsyncChatStore, not {type(store).__name__}")
