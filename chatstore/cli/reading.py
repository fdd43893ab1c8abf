"""Opening stores, and the contexts in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches

from chatstore.cli.options import DEFAULT_STORE, STORE_VARIABLE, TOKEN, WAKE, is_remote, shown_context
from chatstore.cli.running import fail
from chatstore.cursor import CursorFactory
from chatstore.errors import ChatStoreError, StoreNotFound
from chatstore.history import History
from chatstore.model import Context
from chatstore.store import ChatStore

PAGE = 1_000


def open_store(store: str, *, create: bool = True) -> ChatStore:
    """A store, as the options that all commands share say. A token is for those at an address alone."""
    return ChatStore(store, create=create, wake=WAKE.get(), token=TOKEN.get() if is_remote(store) else None)


def open_to_read(store: str) -> ChatStore:
    """The store, which has to be there."""
    try:
        return open_store(store, create=False)
    except StoreNotFound as error:
        if store != DEFAULT_STORE:
            raise
        raise StoreNotFound(f"{error}; --store or {STORE_VARIABLE} names another") from None


def open_or_make(store: str) -> tuple[ChatStore, bool]:
    """The store, and whether a file had to be made for it: a misspelt name makes one, too."""
    try:
        return open_store(store, create=False), False
    except StoreNotFound:
        return open_store(store), True


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
        meant = _meant(store, context) if isinstance(context, str) else ""
        missing = f"there is no context {shown_context(context)!r} in {store.location}"
        fail(f"{missing}; {meant}`chatstore ls` lists those that are")
    return history


def _meant(store: ChatStore, context: str) -> str:
    """A question for the context that has nearly this id, of the newest ones: no error has to read a whole store."""
    try:
        known = [one.context_id for one in store.contexts(newest_first=True, limit=PAGE)]
    except ChatStoreError:  # a token that reads one context alone
        return ""
    alike = get_close_matches(context, known, n=1, cutoff=0.75)
    return f"did you mean {alike[0]!r}? " if alike else ""
