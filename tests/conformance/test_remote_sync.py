"""The conformance suite over HTTP, on threads."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any

from served import the_host

from chatstore.testing.conformance import ConformanceSuite
from chatstore.testing.threaded import ThreadedChatStore


def open_served(location: str, **options: Any) -> AbstractAsyncContextManager[Any]:
    return the_host().client(ThreadedChatStore, is_closed, location, options)


def is_closed(store: ThreadedChatStore) -> bool:
    return store._store is not None and store._store._core is None


class TestRemoteChatStore(ConformanceSuite):
    open_store = open_served
