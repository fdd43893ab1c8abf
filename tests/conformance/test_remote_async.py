"""The conformance suite over HTTP, on an event loop."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any

from served import the_host

from chatstore import AsyncChatStore
from chatstore.testing.conformance import ConformanceSuite


def open_served(location: str, **options: Any) -> AbstractAsyncContextManager[Any]:
    return the_host().client(AsyncChatStore, lambda store: store._closed, location, options)


class TestAsyncRemoteChatStore(ConformanceSuite):
    open_store = open_served
