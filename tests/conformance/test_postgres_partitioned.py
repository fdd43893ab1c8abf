"""What the conformance suite says of a store on PostgreSQL whose tables are in parts."""

from __future__ import annotations

from collections.abc import Iterator

import postgres_server
import pytest

from chatstore.testing.conformance import (
    Appending,
    Erasing,
    Feeds,
    Following,
    Reading,
    Retaining,
    Running,
)
from chatstore.testing.threaded import ThreadedChatStore

pytestmark = pytest.mark.slow


@pytest.fixture
def chatstore_url() -> Iterator[str]:
    url = postgres_server.new_store(partitions=4)
    yield url
    postgres_server.drop(url)


other_chatstore_url = chatstore_url


class TestChatStoreInParts(
    Appending,
    Erasing,
    Feeds,
    Following,
    Reading,
    Retaining,
    Running,
):
    open_store = ThreadedChatStore
