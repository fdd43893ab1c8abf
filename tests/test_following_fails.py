"""What follows a store fails for good: nobody waits for it, and it does not try without a pause."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from chatstore import ChatStore, StorageError, Subscription
from chatstore.live.hub import Hub
from chatstore.wakers import LOOKS_EVERY


def hub_of(store: ChatStore) -> Hub:
    return store._open().hub  # type: ignore[no-any-return]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("error", [SystemExit(), RuntimeError(), OSError(24, "Too many open files")])
def test_nobody_waits_for_a_thread_that_is_gone(path: Path, error: BaseException) -> None:
    def fail(_: object) -> None:
        raise error

    with ChatStore(path) as store:
        hub_of(store)._look_after = fail
        raised: list[BaseException] = []

        def follow(subscription: Subscription) -> None:
            try:
                next(subscription)
            except BaseException as caught:
                raised.append(caught)

        thread = threading.Thread(target=follow, args=(store.history("c").subscribe(),), daemon=True)
        thread.start()
        thread.join(20)
        assert [type(caught) for caught in raised] == [StorageError]
        for ending in threading.enumerate():
            if ending.name == "chatstore-hub":
                ending.join(20)


def test_who_subscribes_after_the_thread_has_ended_gets_a_new_one(path: Path) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("no")

    def join_ended() -> None:
        for ending in threading.enumerate():
            if ending.name == "chatstore-hub":
                ending.join(20)

    with ChatStore(path) as store:
        hub = hub_of(store)
        look_after, hub._look_after = hub._look_after, fail
        with pytest.raises(StorageError, match="RuntimeError: no"):
            next(store.history("c").subscribe())
        join_ended()
        hub._look_after = look_after
        store.history("c").append_user_message("x")
        with store.history("c").subscribe() as changes:
            next(changes)
            assert next(store.history("d").subscribe(timeout=0), None) is None
            assert hub._thread is not None
            assert hub._thread.is_alive()


def test_what_fails_at_once_is_not_begun_again_and_again_for_who_follows_the_whole_store(path: Path) -> None:
    begun: list[object] = []

    def fail(conn: object) -> None:
        begun.append(conn)
        raise RuntimeError("no")

    with ChatStore(path) as store:
        hub_of(store)._look_after = fail
        store.history("c").append_user_message("read without it")
        with store.subscribe(timeout=1) as changes:
            assert [change.context_id for change in changes] == ["c"]
    assert 1 <= len(begun) <= 2 + 1 / LOOKS_EVERY
