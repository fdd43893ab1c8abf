"""What the garbage collector ends, in the midst of what this thread was doing: it must not wait for that."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from dropped import collected
from held import until

from chatstore import ChatStore, History, StoreBusy
from chatstore.recorders.openai_chat import record


def tokens() -> Iterator[dict[str, Any]]:
    for text in ("so ", "far", " and no further"):
        choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
        yield {"object": "chat.completion.chunk", "id": "x", "model": "m", "created": 1, "choices": [choice]}


def writes_a_block(history: History) -> Iterator[None]:
    with history.open_message() as block:
        block.write("so far")
        yield


def writes_in_a_run(history: History) -> Iterator[None]:
    with history.run(), history.open_message() as block:
        block.write("so far")
        yield


def records(history: History) -> Iterator[None]:
    for number, _ in enumerate(record(tokens(), history)):
        if number == 1:
            yield


def flushes_in_the_end(history: History) -> Iterator[None]:
    with history.open_message() as block:
        try:
            yield
        finally:
            block.write("so far")
            block.flush()


@pytest.mark.slow
@pytest.mark.parametrize("generator", [writes_a_block, writes_in_a_run, records, flushes_in_the_end])
@pytest.mark.parametrize("lock", ["lead", "hub"])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # what a flush says of its end
def test_a_generator_that_is_dropped_ends_what_it_has_open(
    store: ChatStore, lock: str, generator: Callable[..., Iterator[None]]
) -> None:
    history, core = store.history("c"), store._open()
    collected({"lead": core.committer._lead, "hub": core.hub._lock}[lock], generator, history)
    until(lambda: all(block.state != "open" for block in history.get_messages()))
    until(lambda: all(run.state != "running" for run in history.runs()))
    assert [block.text for block in history.get_messages()] == ["so far"]
    assert history.append_user_message("on it goes").index == 1


def appends_in_the_end(history: History, raised: list[BaseException]) -> Iterator[None]:
    try:
        yield
    finally:
        try:
            history.append_status_message("stopped")
        except BaseException as error:
            raised.append(error)


def test_an_append_that_would_wait_for_its_own_thread_is_done_behind_it(store: ChatStore) -> None:
    raised: list[BaseException] = []
    history = store.history("c")
    collected(store._open().committer._lead, appends_in_the_end, history, raised)
    assert [type(error) for error in raised] == [StoreBusy]
    until(lambda: history.count() == 1)


def test_an_append_that_need_not_wait_is_stored_at_once(store: ChatStore) -> None:
    raised: list[BaseException] = []
    history = store.history("c")
    collected(threading.Lock(), appends_in_the_end, history, raised)
    assert raised == []
    assert [block.text for block in history.get_messages()] == ["stopped"]


def follows(history: History) -> Iterator[None]:
    with history.subscribe(after="now", timeout=0.05) as subscription:
        assert [*subscription] == []
        yield


def reads_a_block(history: History) -> Iterator[None]:
    with history.open_message() as block:
        block.write("so")
        block.flush()
        for _ in history.read_block(block.block):
            yield


@pytest.mark.parametrize("generator", [follows, reads_a_block])
def test_a_follower_that_is_dropped_leaves_the_hub_alone(
    store: ChatStore, generator: Callable[..., Iterator[None]]
) -> None:
    history = store.history("c")
    collected(store._open().hub._lock, generator, history)
    with history.subscribe(after="now") as subscription:
        history.append_user_message("it is followed on")
        until(lambda: "it is followed on" in str(next(subscription)))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # that it was dropped
def test_a_store_that_is_dropped_is_closed(store: ChatStore, path: Any) -> None:
    def opens(path: Any) -> Iterator[None]:
        with ChatStore(path) as other:
            other.history("c").append_user_message("from another")
            yield

    collected(store._open().committer._lead, opens, path)
    until(lambda: store._open().faces == 1)
    assert store.history("c").count() == 1
