"""What the garbage collector ends of a remote store, in the midst of a request of the same thread."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from dropped import collected
from held import until
from http_support import Served

from chatstore import ChatStore, History, StoreBusy


def appends_in_the_end(history: History, raised: list[BaseException]) -> Iterator[None]:
    try:
        yield
    finally:
        try:
            history.append_status_message("stopped")
        except BaseException as error:
            raised.append(error)


@pytest.mark.slow
def test_a_request_that_would_wait_for_its_own_thread_is_sent_behind_it(served: Served) -> None:
    raised: list[BaseException] = []
    with ChatStore(served.url, token=served.token()) as store:
        history = store.history("c")
        collected(store._open().link._idle, appends_in_the_end, history, raised)
        assert [type(error) for error in raised] == [StoreBusy]
        until(lambda: history.count() == 1)
