"""The conformance suite: what a chatstore promises, as tests that anybody can run against a store.

Install `chatstore[testing]`, load the plug-in, and inherit the suite::

    # conftest.py
    pytest_plugins = ["chatstore.testing.plugin"]

    # tests/test_store.py
    import pytest

    from chatstore.testing.conformance import ConformanceSuite
    from chatstore.testing.threaded import ThreadedChatStore


    class TestStoreOnAnEventLoop(ConformanceSuite):
        pass


    class TestStoreOfThreads(ConformanceSuite):
        open_store = ThreadedChatStore


    class TestMyOwnStore(ConformanceSuite):
        open_store = MyStore

        @pytest.fixture
        def chatstore_url(self):
            return f"mystore://…/{uuid4()}"

        @pytest.fixture
        def other_chatstore_url(self):
            return f"mystore://…/{uuid4()}"

Two things say which store is tested. `open_store` opens one by its location, as an async context manager, and is
AsyncChatStore unless it is set. The fixtures `chatstore_url` and `other_chatstore_url` give the locations of two
stores that do not exist yet or are empty, new ones for every test; override them in a class, a module or a
`conftest.py`. Some tests open a store twice, so two stores of one location must share their histories.

Every test is written once, in the async names. `ThreadedChatStore` gives a ChatStore the same ones, so that the
suite covers both faces. The tests carry pytest-asyncio's marks themselves and run in its strict mode and its auto
mode alike. To leave out what a store does not promise, inherit the parts of the suite that it does (`Appending`,
`Following`, … of `chatstore.testing.conformance`) instead of the whole.
"""
