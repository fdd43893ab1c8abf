"""What servers, networks and programs do wrong: a remote store goes on, or says what it is in its own errors."""

from __future__ import annotations

import pickle
import signal
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from http_support import DEADLINE, Served, ServerProcess
from losing_proxy import LosingProxy
from other_processes import FORKING, run

from chatstore import AsyncChatStore, ChatStore, ChatStoreError, RunInterrupted, StoreUnavailable, UsageError
from chatstore.remote import link

pytestmark = pytest.mark.slow


@pytest.fixture
def proxy(served: Served) -> Iterator[LosingProxy]:
    with LosingProxy(served.port) as between:
        yield between


def answer(status: str, body: bytes, *headers: str) -> bytes:
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""])
    return head.encode() + body


EVENTS = "Content-Type: text/event-stream"
STRANGE = {
    "a page": answer("200 OK", b"<html>Welcome to the hotel", "Content-Type: text/html"),
    "other JSON": answer("200 OK", b'{"blocks": 5, "count": []}', "Content-Type: application/json"),
    "another list": answer("200 OK", b"[[[]]]", "Content-Type: application/json"),
    "deep JSON": answer("200 OK", b"[" * 200_000),
    "another place": answer("302 Found", b"", "Location: http://elsewhere.invalid/"),
    "not allowed": answer("403 Forbidden", b"<html>Blocked by your company"),
}
BROKEN = {
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "half a body": f"HTTP/1.1 200 OK\r\n{EVENTS}\r\nContent-Length: 500\r\n\r\n{{".encode(),
    "no gzip": answer("200 OK", b"this is not", "Content-Encoding: gzip", EVENTS),
    "no chunks": f"HTTP/1.1 200 OK\r\n{EVENTS}\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n".encode(),
    "nothing": b"",
    "a bad gateway": answer("502 Bad Gateway", b"<html>"),
    "a time-out": answer("504 Gateway Timeout", b""),
    "too many": answer("429 Too Many Requests", b"{}", "Retry-After: 0"),
}


def reads(store: ChatStore) -> list[Callable[[], Any]]:
    return [
        store.history("c").count,
        lambda: [change.cursor for change in store.history("c").subscribe(follow=False)],
        lambda: store.history("c").append_user_message("x").text,
    ]


@pytest.mark.slow
@pytest.mark.parametrize("said", STRANGE.values(), ids=STRANGE)
def test_what_is_no_answer_of_a_chatstore_is_told_at_once(served: Served, proxy: LosingProxy, said: bytes) -> None:
    with ChatStore(proxy.url, token=served.token()) as remote:
        for read in reads(remote):
            proxy.cut()
            proxy.instead(said)
            with pytest.raises(UsageError, match="is there a chatstore at this address") as refused:
                read()
            assert "hotel" not in str(refused.value)
            assert remote.history("c").count() is not None


@pytest.mark.slow
@pytest.mark.parametrize("said", BROKEN.values(), ids=BROKEN)
def test_what_breaks_on_the_way_is_asked_for_again(served: Served, proxy: LosingProxy, said: bytes) -> None:
    with ChatStore(proxy.url, token=served.token()) as remote:
        for read in reads(remote):
            proxy.cut()
            proxy.instead(said, said)
            read()
        assert [block.text for block in remote.history("c").get_messages()] == ["x"]


@pytest.mark.slow
@pytest.mark.parametrize("said", [*STRANGE.values(), *BROKEN.values()], ids=[*STRANGE, *BROKEN])
async def test_an_event_loop_has_no_other_errors(served: Served, proxy: LosingProxy, said: bytes) -> None:
    async with AsyncChatStore(proxy.url, token=served.token(), busy_timeout=0.05) as remote:
        history = remote.history("c")

        async def follow() -> None:
            async for _ in history.subscribe(follow=False):
                pass

        for read in (history.count, follow, lambda: history.append_user_message("x")):
            proxy.cut()
            proxy.instead(*[said] * 20)
            with pytest.raises(ChatStoreError):
                await read()
            proxy.forget()
            await read()


def test_half_of_an_answer_is_none(served: Served, proxy: LosingProxy) -> None:
    with ChatStore(proxy.url, token=served.token()) as remote:
        history = remote.history("c")
        for place in range(10):
            proxy.halve(place % 4)
            history.append_user_message(str(place))
        proxy.halve(3)
        changes = [*history.subscribe(follow=False)]
        assert [change.block.text for change in changes] == [*map(str, range(10))]  # type: ignore[union-attr]


@pytest.mark.parametrize("face", ["threads", "event loop"])
async def test_an_answer_that_drips_is_given_up(
    served: Served, proxy: LosingProxy, monkeypatch: pytest.MonkeyPatch, face: str
) -> None:
    monkeypatch.setattr(link, "ANSWER", 0.3)
    begun = time.monotonic()
    if face == "threads":
        with ChatStore(proxy.url, token=served.token(), busy_timeout=0.1) as remote:
            proxy.drip(0.02)
            with pytest.raises(StoreUnavailable):
                remote.contexts()
    else:
        async with AsyncChatStore(proxy.url, token=served.token(), busy_timeout=0.1) as waiting:
            proxy.drip(0.02)
            with pytest.raises(StoreUnavailable):
                await waiting.contexts()
    assert time.monotonic() - begun < DEADLINE


@pytest.mark.slow
def test_closing_does_not_wait_for_a_server_that_is_silent(served: Served, proxy: LosingProxy) -> None:
    remote = ChatStore(proxy.url, token=served.token())
    block = remote.history("c").open_message()
    with ThreadPoolExecutor(1) as pool:
        subscription = remote.history("c").subscribe()
        following = pool.submit(list, subscription)
        proxy.hush()
        block.write("never stored")
        begun = time.monotonic()
        remote.close()
        assert time.monotonic() - begun < 15
        proxy.cut()
        following.result(DEADLINE)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["history", "store"])
def test_a_stream_ends_with_its_token_and_says_so(served: Served, kind: str) -> None:
    with ChatStore(served.url, token=served.token(ttl=8)) as remote:
        source: Any = remote.history("c") if kind == "history" else remote
        refused = pytest.raises(UsageError, match="needs a token that holds")
        with source.subscribe() as subscription, ThreadPoolExecutor(1) as pool, refused:
            pool.submit(next, subscription).result(DEADLINE)
        with pytest.raises(UsageError, match="needs a token that holds"):
            remote.history("c").append_user_message("x")


@pytest.mark.slow
async def test_on_an_event_loop_a_stream_ends_with_its_token(served: Served) -> None:
    async with AsyncChatStore(served.url, token=served.token(ttl=8)) as remote:
        subscription = remote.history("c").subscribe()
        with pytest.raises(UsageError, match="needs a token that holds"):
            await anext(subscription)


@pytest.mark.slow
def test_appends_go_on_through_servers_that_are_killed(path: Path, start: Callable[..., ServerProcess]) -> None:
    server = start()
    stored = threading.Semaphore(0)
    with ChatStore(server.url, token=server.token) as remote, ThreadPoolExecutor(1) as pool:

        def write() -> None:
            for place in range(300):
                remote.history("c").append_user_message(str(place))
                stored.release()

        writing = pool.submit(write)
        for _ in range(3):
            for _ in range(60):
                assert stored.acquire(timeout=DEADLINE)
            server.stop(signal.SIGKILL)
            server = start(port=server.port)
        writing.result(DEADLINE)
    with ChatStore(path) as beside:
        assert [block.text for block in beside.history("c").get_messages()] == [*map(str, range(300))]


def test_a_block_whose_server_is_killed_keeps_its_text_and_its_writer_is_told(
    path: Path, start: Callable[..., ServerProcess]
) -> None:
    server = start()
    with ChatStore(server.url, token=server.token) as remote:
        history = remote.history("c")
        with history.subscribe(after="now") as subscription, pytest.raises(RunInterrupted), history.run() as run:
            block = history.open_message()
            block.write("stored")
            block.flush()
            server.stop(signal.SIGKILL)
            with ThreadPoolExecutor(1) as pool:
                writing = pool.submit(block.write, " and perhaps this")  # it waits while the server is away
                server = start(port=server.port)
                assert isinstance(writing.exception(DEADLINE), RunInterrupted | type(None))
            while next(subscription).__class__.__name__ != "BlockClosed":
                pass
            block.write("too late")
            block.flush()
        [stored] = history.get_messages()
        assert stored.state == "interrupted"
        assert stored.text in ("stored", "stored and perhaps this")
        assert history.get_run(run.id).state == "interrupted"
        with history.run(), history.open_message() as again:
            again.write("anew")
        assert [block.state for block in history.get_messages()] == ["interrupted", "closed"]


_FORK = (
    FORKING
    + """
    store = ChatStore(sys.argv[1], token=sys.argv[2])
    history = store.history("c")
    block = history.append_user_message("before")
    writer = history.open_message()
    subscription = history.subscribe(roles=["user"])
    next(subscription)
    for use in (
        lambda: history.append_user_message("x"),
        history.get_messages,
        history.subscribe,
        store.contexts,
        lambda: writer.write("x"),
        lambda: next(subscription),
    ):
        print(child(use))
    print(child(subscription.close), child(store.close), child(lambda: globals().pop("subscription").cursor and 1))
    history.append_user_message("after")
    print(next(subscription).block.text, writer.close().state)
    store.close()
"""
)


def test_in_a_forked_child_it_is_refused_and_goes_on_in_the_parent(served: Served) -> None:
    said = run(textwrap.dedent(_FORK), served.url, served.token()).split("\n")
    assert said == [*["ForkedStore"] * 6, "None None 1", "after closed"]


def test_it_cannot_be_pickled_and_what_it_gives_can(served: Served) -> None:
    with ChatStore(served.url, token=served.token()) as remote:
        block = remote.history("c").append_user_message("x")
        assert pickle.loads(pickle.dumps(block)) == block
        for one in (remote, remote.history("c"), remote.history("c").subscribe()):
            with pytest.raises(TypeError):
                pickle.dumps(one)


def test_threads_that_follow_see_all_that_threads_write(served: Served) -> None:
    with ChatStore(served.url, token=served.token()) as remote, ThreadPoolExecutor(10) as pool:

        def follow() -> list[str]:
            with remote.history("c").subscribe(timeout=DEADLINE) as subscription:
                return [change.block.text for change, _ in zip(subscription, range(100), strict=False)]  # type: ignore[union-attr]

        def write(name: int) -> None:
            for place in range(25):
                remote.history("c").append_user_message(f"{name} {place}")

        following = [pool.submit(follow) for _ in range(6)]
        for done in [pool.submit(write, name) for name in range(4)]:
            done.result(DEADLINE)
        wanted = [block.text for block in remote.history("c").get_messages()]
        assert len(wanted) == 100
        assert [one.result(DEADLINE) for one in following] == [wanted] * 6
