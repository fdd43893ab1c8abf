"""Opening stores that are only read, and the contexts in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from chatstore.cli.options import shown_context
from chatstore.cli.running import fail
from chatstore.cursor import CursorFactory
from chatstore.history import History
from chatstore.model import Context
from chatstore.store import ChatStore

PAGE = 1_000


def open_to_read(store: str) -> ChatStore:
    """The store, which has to be there."""
    return ChatStore(store, create=False)


def all_contexts(store: ChatStore) -> Iterator[Context]:
    """The contexts of a store in the order they were created, page by page."""
    page = store.contexts(limit=PAGE)
    while page:
        yield from page
        page = store.contexts(after=page[-1].context_id, limit=PAGE)


def is_new(store: ChatStore, history: History) -> bool:
    """Whether nothing was ever written to the context."""
    return history.head() == CursorFactory(store.identity, history.context_id).at(0)


def existing_history(store: ChatStore, context: str | Mapping[str, str]) -> History:
    """The history of a context that has to be there; ends the command where it is not."""
    history = store.history(context)
    if is_new(store, history):
        fail(f"there is no context {shown_context(context)!r} in {store.location}; `chatstore ls` lists those that are")
    return history
