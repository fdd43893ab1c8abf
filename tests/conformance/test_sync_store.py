"""The conformance suite over the sync face, every call on a thread."""

from chatstore.testing.conformance import ConformanceSuite
from chatstore.testing.threaded import ThreadedChatStore


class TestChatStore(ConformanceSuite):
    open_store = ThreadedChatStore
