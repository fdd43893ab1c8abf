"""Subscriptions over HTTP whose connections break: nothing is missed, nothing comes twice, nobody waits for ever."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from http_support import DEADLINE, Served, ServerProcess
from losing_proxy import LosingProxy

from chatstore import AsyncChatStore, Change, ChatStore, StoreUnavailable, TextAppended, collect
from chatstore.server import ServerLimits

pytestmark = pytest.mark.slow

COUNT = 400


def _follow(url: str, token: str, seen: list[str], moved: threading.Condition) -> list[Change]:
    changes = []
    with ChatStore(url, token=token) as remote, remote.history("c").subscribe() as subscription:
        for change in subscription:
            changes.append(change)
            if not isinstance(change, TextAppended):
                with moved:
                    seen.append(change.block.text)  # type: ignore[union-attr]
                    moved.notify_all()
            if len(seen) == COUNT:
                break
    return changes


async def _follow_on_a_loop(url: str, token: str, seen: list[str], moved: threading.Condition) -> list[Change]:
    changes = []
    async with AsyncChatStore(url, token=token) as remote, remote.history("c").subscribe() as subscription:
        async for change in subscription:
            changes.append(change)
            with moved:
                seen.append(change.block.text)  # type: ignore[union-attr]
                moved.notify_all()
            if len(seen) == COUNT:
                break
    return changes


FOLLOW: dict[str, Callable[..., list[Change]]] = {
    "threads": _follow,
    "event loop": lambda *given: asyncio.run(_follow_on_a_loop(*given)),
}


@pytest.mark.slow
@pytest.mark.parametrize("follow", FOLLOW.values(), ids=FOLLOW)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "stopped"])
def test_nothing_is_missed_or_repeated_across_restarts_of_the_server(
    path: Path, start: Callable[..., ServerProcess], follow: Callable[..., list[Change]], number: signal.Signals
) -> None:
    server = start()
    seen: list[str] = []
    moved = threading.Condition()
    with ChatStore(path) as beside, ThreadPoolExecutor(1) as pool:
        following = pool.submit(follow, server.url, server.token, seen, moved)
        history = beside.history("c")
        for place in range(COUNT):
            history.append_user_message(str(place))
            if place % 150 == 100:
                with moved:
                    assert moved.wait_for(lambda place=place: len(seen) >= place - 20, DEADLINE)
                server.stop(number)
                server = start(port=server.port)
        following.result(DEADLINE)
    assert seen == [str(place) for place in range(COUNT)]


@pytest.mark.parametrize("face", ["threads", "event loop"])
def test_cut_connections_are_taken_up_in_the_midst_of_growing_text(served: Served, face: str) -> None:
    def cut_and_write(proxy: LosingProxy, store: ChatStore) -> None:
        with store.history("c").open_message() as block:
            for place in range(60):
                block.write(f"{place} ")
                block.flush()
                if place % 9 == 0:
                    proxy.cut()

    async def read(url: str) -> list[Change]:
        async with AsyncChatStore(url, token=served.token()) as remote:
            return [change async for change in _until_closed(remote.history("c").subscribe())]

    def read_on_threads(url: str) -> list[Change]:
        changes: list[Change] = []
        with ChatStore(url, token=served.token()) as remote, remote.history("c").subscribe() as subscription:
            for change in subscription:
                changes.append(change)
                if type(change).__name__ == "BlockClosed":
                    break
        return changes

    with LosingProxy(served.port) as proxy, ChatStore(served.url, token=served.token()) as store:
        with ThreadPoolExecutor(1) as pool:
            reading = pool.submit(
                read_on_threads if face == "threads" else lambda url: asyncio.run(read(url)), proxy.url
            )
            cut_and_write(proxy, store)
            changes = reading.result(DEADLINE)
        assert collect(changes) == store.history("c").get_messages()
        text = ""
        for change in changes:
            if isinstance(change, TextAppended):
                assert change.offset == len(text)
                text += change.text


async def _until_closed(subscription: Any) -> Any:
    async with subscription:
        async for change in subscription:
            yield change
            if type(change).__name__ == "BlockClosed":
                return


@pytest.mark.parametrize("kind", ["history", "store"])
def test_a_connection_that_fell_silent_is_given_up(serve: Any, kind: str) -> None:
    served = serve(limits=ServerLimits(heartbeat=0.1))
    with LosingProxy(served.port) as proxy, ChatStore(proxy.url, token=served.token()) as remote:
        source: Any = remote.history("c") if kind == "history" else remote
        with source.subscribe(after="now") as subscription, ChatStore(served.url, token=served.token()) as other:
            other.history("c").append_user_message("heard")
            assert next(subscription).block.text == "heard"
            proxy.hush()
            other.history("c").append_user_message("said into the silence")
            with ThreadPoolExecutor(1) as pool:
                assert pool.submit(next, subscription).result(DEADLINE).block.text == "said into the silence"


@pytest.mark.slow
def test_a_server_that_stays_away_is_an_error_and_the_next_step_tries_again(
    path: Path, start: Callable[..., ServerProcess]
) -> None:
    server = start()
    with ChatStore(server.url, token=server.token, busy_timeout=0.5) as remote, ChatStore(path) as beside:
        subscription = remote.history("c").subscribe()
        beside.history("c").append_user_message("before")
        assert next(subscription).block.text == "before"  # type: ignore[union-attr]
        server.stop(signal.SIGKILL)
        with pytest.raises(StoreUnavailable):
            next(subscription)
        beside.history("c").append_user_message("meanwhile")
        start(port=server.port)
        assert next(subscription).block.text == "meanwhile"  # type: ignore[union-attr]


def test_what_waits_is_ended_by_another_thread_also_while_the_server_is_silent(served: Served) -> None:
    with LosingProxy(served.port) as proxy, ChatStore(proxy.url, token=served.token()) as remote:
        subscriptions = [remote.history("c").subscribe() for _ in range(3)]
        proxy.hush()
        with ThreadPoolExecutor(3) as pool:
            waiting = [pool.submit(list, subscription) for subscription in subscriptions]
            subscriptions[0].close()
            assert waiting[0].result(DEADLINE) == []
            remote.close()
            assert [one.result(DEADLINE) for one in waiting] == [[], [], []]
