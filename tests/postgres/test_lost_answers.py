"""A connection that is cut at a COMMIT, or goes silent: the append is stored exactly once, and everything recovers."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType

import postgres_server
import pytest
from nats_server import wait_until
from postgres_server import beside
from proxy import Proxy, proxied
from watching import Watcher

from chatstore import AsyncChatStore, BlockClosed, ChatStore, TextAppended
from chatstore.errors import StorageError, StoreUnavailable
from chatstore.operations import leases
from chatstore.writing.groups import _Try

pytestmark = pytest.mark.slow

RECOVERED = 20
"""Seconds after which a connection that has gone silent was given up: see `connecting.SETTINGS`."""


@pytest.fixture
def proxy(url: str) -> Iterator[Proxy]:
    with proxied(url) as made:
        yield made


@pytest.mark.parametrize("key", [None, "the key"])
@pytest.mark.parametrize("cut", ["before", "after"])
def test_an_append_whose_answer_is_lost_is_stored_once_and_returns_its_block(
    url: str, proxy: Proxy, cut: str, key: str | None
) -> None:
    with ChatStore(proxy.url) as store:
        history = store.history("cut")
        history.append_user_message("first")
        proxy.at_commit = cut
        block = history.append_user_message("second", key=key)
        assert proxy.lost.is_set()
        assert history.append_user_message("third").index == 2
    assert_stored(url, ["first", "second", "third"], second=block.id)


@pytest.mark.parametrize("cut", ["before", "after"])
async def test_so_is_one_that_was_awaited(url: str, proxy: Proxy, cut: str) -> None:
    async with AsyncChatStore(proxy.url) as store:
        history = store.history("cut")
        await history.append_user_message("first")
        async with history.subscribe(after="now") as subscription:
            proxy.at_commit = cut
            block = await history.append_user_message("second")
            assert proxy.lost.is_set()
            change = await anext(subscription)
            assert change.block_id == block.id  # type: ignore[union-attr]
    assert_stored(url, ["first", "second"], second=block.id)


def assert_stored(url: str, texts: list[str], *, second: str) -> None:
    with ChatStore(url) as store:
        blocks = store.history("cut").get_messages()
    assert [block.text for block in blocks] == texts
    assert blocks[1].id == second


@pytest.mark.slow
@pytest.mark.parametrize("cut", ["before", "after"])
def test_an_append_of_which_nobody_can_say_whether_it_is_stored_says_so(url: str, proxy: Proxy, cut: str) -> None:
    with ChatStore(proxy.url, busy_timeout=1) as store:
        history = store.history("cut")
        history.append_user_message("first")
        proxy.at_commit, proxy.alone = cut, True
        with pytest.raises(StorageError, match="may be stored") as caught:
            history.append_user_message("second", key="the key")
        assert not caught.value.retryable
        with pytest.raises(StoreUnavailable):  # of which it is known that it is not
            history.append_user_message("never")
        proxy.alone = False
        block = history.append_user_message("second", key="the key")
    assert_stored(url, ["first", "second"], second=block.id)


@pytest.mark.parametrize("goes_on", ["writes", "closes", "ends its run"])
@pytest.mark.parametrize("cut", ["before", "after"])
def test_text_of_which_nobody_can_say_whether_it_is_stored_is_stored_once(
    url: str, proxy: Proxy, cut: str, goes_on: str
) -> None:
    with ChatStore(proxy.url, busy_timeout=0.2) as store:
        history = store.history("cut")
        with history.run():
            writer = history.open_message()
            writer.write("one ")
            writer.flush()
            proxy.at_commit, proxy.alone = cut, True
            writer.write("two ")
            with pytest.raises(StorageError, match="may be stored"):
                writer.flush()
            proxy.alone = False
            if goes_on == "writes":
                writer.write("three ")
                writer.flush()
            if goes_on != "ends its run":
                writer.close()
    text = "one two three " if goes_on == "writes" else "one two "
    assert_whole(url, text)


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("cut", ["before", "after"])
def test_an_end_of_which_nobody_can_say_whether_it_is_stored_is_stored_once_and_may_be_repeated(
    url: str, proxy: Proxy, cut: str, again: bool
) -> None:
    # Redacted, the last word is held back until the end.
    with ChatStore(proxy.url, busy_timeout=0.2, redact=str) as store:
        writer = store.history("cut").open_message()
        writer.write("one two")
        writer.flush()
        proxy.at_commit, proxy.alone = cut, True
        with pytest.raises(StorageError, match="may be stored"):
            writer.close(usage={"tokens": 2})
        proxy.alone = False
        if again:
            assert writer.close(usage={"tokens": 2}).text == "one two"
        else:
            writer.__exit__(None, None, None)
    assert_whole(url, "one two")


def assert_whole(url: str, text: str) -> None:
    with ChatStore(url) as store:
        [block] = store.history("cut").get_messages()
        assert (block.state, block.text) == ("closed", text)
        assert store.check().problems == ()


def test_a_lease_taken_in_a_commit_that_a_signal_comes_behind_is_held(url: str) -> None:
    behind = _Try.settle.__code__

    def interrupt(frame: FrameType, event: str, _: object) -> None:
        if frame.f_code is behind:
            sys.settrace(None)
            raise KeyboardInterrupt

    with ChatStore(url) as store:
        history = store.history("c")
        history.append_user_message("makes the history")
        sys.settrace(interrupt)
        try:
            with pytest.raises(KeyboardInterrupt):
                history.open_message()
        finally:
            sys.settrace(None)
        [taken] = store._read(leases.all_leases)
        assert store._open().lease.id == taken.id
        assert history.count() == 2, "it was stored once"


@pytest.mark.slow
@pytest.mark.timed
def test_an_append_whose_answer_never_comes_is_stored_once(url: str, proxy: Proxy) -> None:
    with ChatStore(proxy.url) as store:
        history = store.history("cut")
        history.append_user_message("first")
        proxy.at_commit = "silence"
        begun = time.monotonic()
        block = history.append_user_message("second")
        assert time.monotonic() - begun < RECOVERED
    assert_stored(url, ["first", "second"], second=block.id)


@pytest.mark.slow
@pytest.mark.timed
def test_readers_and_subscribers_recover_from_a_network_that_says_nothing(url: str, proxy: Proxy) -> None:
    with ChatStore(proxy.url) as store, ChatStore(url) as other:
        history, written = store.history("c"), other.history("c")
        written.append_user_message("first")
        seen: list[str] = []
        come = threading.Event()

        def follow() -> None:
            for change in history.subscribe(timeout=60):
                seen.append(change.block.text)  # type: ignore[union-attr]
                come.set()
                if len(seen) == 3:
                    break

        follower = threading.Thread(target=follow)
        follower.start()
        assert come.wait(10)
        written.append_user_message("second")
        while len(seen) < 2:
            come.clear()
            assert come.wait(10)
        assert proxy.swallow() >= 2
        begun = time.monotonic()
        written.append_user_message("third")
        assert [block.text for block in history.get_messages()] == ["first", "second", "third"]
        assert time.monotonic() - begun < RECOVERED
        follower.join(RECOVERED)
        assert seen == ["first", "second", "third"]
        assert time.monotonic() - begun < RECOVERED


@pytest.mark.slow
@pytest.mark.timed
def test_so_do_they_when_it_falls_silent_as_they_begin_to_listen(url: str, proxy: Proxy) -> None:
    with ChatStore(proxy.url) as store, ChatStore(url) as other:
        proxy.deaf = True
        with Watcher(store.history("c")) as watcher:
            assert proxy.lost.wait(10)
            begun = time.monotonic()
            other.history("c").append_user_message("told")
            assert watcher.text(60) == "told"
            assert time.monotonic() - begun < RECOVERED


def test_an_outage_is_said_once_by_what_follows_and_so_is_its_end(
    url: str, proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    def said(level: str) -> list[str]:
        found = [one for one in caplog.records if (one.name, one.levelname) == ("chatstore.live.hub", level)]
        return [one.getMessage() for one in found]

    caplog.set_level("INFO")
    with ChatStore(proxy.url, wake="none") as store, ChatStore(url) as other:
        core, history = store._open(), other.history("c")
        with Watcher(store.history("c")) as watcher:
            for number in (1, 2):
                history.append_user_message("before")
                watcher.next()
                proxy.refuse()
                wait_until(lambda: core.hub._patience._pause > 0.1)  # it has tried several times
                proxy.admit()
                history.append_user_message("behind")
                assert watcher.text() == "behind"
                wait_until(lambda number=number: len(said("INFO")) == number)  # type: ignore[misc]
    where = core.database.location
    assert said("INFO") == [f"following {where} works again"] * 2
    assert [one.split(" (")[0] for one in said("WARNING")] == [
        f"following {where} failed, and is tried again: {where} cannot be reached"
    ] * 2


@pytest.mark.slow
def test_a_server_that_crashes_takes_nothing_from_the_middle_of_a_text_that_grows(url: str) -> None:
    pieces = [f"token {number} " for number in range(300)]
    with ChatStore(url) as store, ChatStore(beside(url)) as other:
        writer = store.history("c").open_block("message", role="assistant")
        with Watcher(other.history("c")) as watcher:
            crashing = threading.Timer(0.5, postgres_server.restart, ["immediate"])
            crashing.start()
            for piece in pieces:
                writer.write(piece)
                time.sleep(0.005)  # at the pace of a model
            crashing.join()
            assert writer.close().text == "".join(pieces)
            text, change = "", None
            while not isinstance(change, BlockClosed):
                change, _ = watcher.next(RECOVERED)
                if isinstance(change, TextAppended):
                    assert change.offset == len(text)
                    text += change.text
        assert change.block.text == "".join(pieces)
        assert change.block.text.startswith(text)
