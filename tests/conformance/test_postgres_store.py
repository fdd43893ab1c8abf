"""The conformance suite over both faces of a store on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import postgres_server
import pytest

from chatstore.testing.conformance import ConformanceSuite
from chatstore.testing.threaded import ThreadedChatStore


@pytest.fixture
def chatstore_url() -> Iterator[str]:
    url = postgres_server.lend()
    yield url
    postgres_server.take_back(url)


other_chatstore_url = chatstore_url


class TestAsyncChatStoreOnPostgres(ConformanceSuite):
    pass


@pytest.mark.slow
class TestChatStoreOnPostgres(ConformanceSuite):
    open_store = ThreadedChatStore
