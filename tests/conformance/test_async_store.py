"""The conformance suite over the async face."""

from chatstore.testing.conformance import ConformanceSuite


class TestAsyncChatStore(ConformanceSuite):
    pass
