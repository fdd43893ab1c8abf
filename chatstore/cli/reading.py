"""Opening stores that are only read, and the contexts in them."""

from __future__ import annotations

from chatstore.cli.options import shown_context
from chatstore.cli.running import fail
from chatstore.cursor import sequence_of
from chatstore.history import History
from chatstore.store import ChatStore


def open_to_read(store: str) -> ChatStore:
    """The store, which has to be there."""
    return ChatStore(store, create=False)


def is_new(history: History) -> bool:
    """Whether nothing was ever written to the context."""
    return sequence_of(history.head()) == 0


def existing_history(store: ChatStore, context: str | dict[str, str]) -> History:
    """The history of a context that has to be there; ends the command where it is not."""
    history = store.history(context)
    if is_new(history):
        fail(f"there is no context {shown_context(context)!r} in {store.path}; `chatstore ls` lists those that are")
    return history
