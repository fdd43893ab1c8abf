"""A store's connection to NATS: how much goes over it, and that it never holds anybody up."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from nats_server import NatsServer, hears, serving, wait_until
from postgres_server import beside
from proxy import proxied
from watching import Watcher

from chatstore import BlockAdded, ChatStore
from chatstore.cursor import context_mark
from chatstore.wakers.nats.bus import NatsBus, NatsWaker
from chatstore.wakers.nats.url import parse
from chatstore.wakers.notices import GATHER, MOST

pytestmark = pytest.mark.slow


class Hearing:
    """A bus that hears, and what it was told."""

    def __init__(self, url: str, identity: str) -> None:
        self.bus = NatsBus(parse(url), identity)
        self.heard: list[set[str] | None] = []
        self._waker = self.bus.waker()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._follow)
        self._thread.start()

    @property
    def hears(self) -> bool:
        assert isinstance(self._waker, NatsWaker)
        return self._waker.hears

    def _follow(self) -> None:
        while not self._ending.is_set():
            self._waker.wait(10.0, self._moved)

    def _moved(self, *marks: set[str]) -> bool:
        self.heard.append(marks[0] if marks else None)
        return True

    def close(self) -> None:
        self._ending.set()
        self._waker.nudge()
        self._thread.join()
        self.bus.close()


@contextmanager
def buses(url: str) -> Iterator[tuple[Hearing, NatsBus]]:
    """One that hears, and one that tells."""
    identity = uuid4().hex[:12]
    with ExitStack() as stack:
        hearing = Hearing(url, identity)
        stack.callback(hearing.close)
        telling = NatsBus(parse(url), identity)
        stack.callback(telling.close)
        wait_until(lambda: hearing.hears)
        hearing.heard.clear()  # while it did not, it looked
        yield hearing, telling


def published(server: NatsServer) -> int:
    return int(server.asked("varz")["in_msgs"])


def test_what_is_told_within_milliseconds_goes_out_as_one_notice(tmp_path: Path) -> None:
    contexts = [f"c {number}" for number in range(500)]
    with serving(tmp_path) as server, buses(server.url) as (hearing, telling):
        telling.tell(["first"])
        wait_until(lambda: {context_mark("first")} in hearing.heard)
        before, begun = published(server), time.monotonic()
        for context in contexts:
            telling.tell([context])
        wanted = set(map(context_mark, contexts))
        wait_until(lambda: wanted <= set().union(*(marks or () for marks in hearing.heard)))
        assert 1 <= published(server) - before <= (time.monotonic() - begun) / GATHER + 1
        assert published(server) - before < 100


@pytest.mark.parametrize(("count", "configured"), [(MOST + 1, ""), (MOST, "max_payload: 1024")])
def test_of_more_contexts_than_fit_it_is_told_that_all_are_to_be_looked_at(
    tmp_path: Path, count: int, configured: str
) -> None:
    with serving(tmp_path, configured) as server, buses(server.url) as (hearing, telling):
        telling.tell(f"c {number}" for number in range(count))
        wait_until(lambda: hearing.heard == [None])


def test_its_own_notices_wake_nobody_and_what_no_notice_is_has_everything_looked_at(tmp_path: Path) -> None:
    with serving(tmp_path) as server, buses(server.url) as (hearing, telling):
        hearing.bus.tell(["own"])
        send(server, hearing.bus._link._subject, b"\xff")
        wait_until(lambda: hearing.heard == [None])
        telling.tell(["c"])
        wait_until(lambda: hearing.heard == [None, {context_mark("c")}])


def send(server: NatsServer, subject: str, payload: bytes) -> None:
    """As anybody could."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall(b"CONNECT {}\r\nPUB %s %d\r\n%s\r\nPING\r\n" % (subject.encode(), len(payload), payload))
        said = b""
        while b"PONG" not in said:
            said += client.recv(4096)


@pytest.mark.timed
def test_a_server_that_says_nothing_holds_up_neither_writers_nor_the_end(url: str) -> None:
    with ExitStack() as stack:
        silent = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        store = ChatStore(url, wake=f"nats://127.0.0.1:{silent.getsockname()[1]}")
        stack.callback(store.close)
        other = stack.enter_context(ChatStore(beside(url)))
        with Watcher(store.history("c")) as watcher:
            begun = time.monotonic()
            store.history("c").append_user_message("own")
            other.history("c").append_user_message("foreign")
            assert (watcher.text(), watcher.text()) == ("own", "foreign")
            assert time.monotonic() - begun < 2
        begun = time.monotonic()
        store.close()
        assert time.monotonic() - begun < 4


@pytest.mark.slow
@pytest.mark.timed
@pytest.mark.timeout(120)
def test_a_network_that_swallows_everything_is_noticed_and_costs_less_than_a_second(
    url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(serving(tmp_path))
        proxy = stack.enter_context(proxied(server.url))
        other = stack.enter_context(ChatStore(beside(url), wake=server.url))
        store = ChatStore(url, wake=parse(proxy.url).servers[0])
        stack.callback(store.close)
        with Watcher(store.history("c")) as watcher:
            wait_until(lambda: hears(store))
            proxy.swallow()
            begun = time.monotonic()
            other.history("c").append_user_message("unheard")
            assert watcher.next()[1] - begun < 1
            wait_until(lambda: "does not work" in caplog.text)
            assert time.monotonic() - begun < 12
            wait_until(lambda: hears(store))
            proxy.swallow()
        begun = time.monotonic()
        store.close()
        assert time.monotonic() - begun < 4


FORK = """
import os, sys, time, warnings
from chatstore import ChatStore, ForkedStore
warnings.simplefilter("ignore", DeprecationWarning)
url, wake = sys.argv[1:]
with ChatStore(url, wake=wake) as store:
    store.history("c").append_user_message("parent")
    if (child := os.fork()) == 0:
        try:
            store.history("c").append_user_message("inherited")
        except ForkedStore:
            with ChatStore(url, wake=wake) as own:
                own.history("c").append_user_message("child")
        sys.exit()
    assert os.waitpid(child, 0)[1] == 0
    store.history("c").append_user_message("parent again")
print(time.monotonic(), end="")
"""
EXIT = """
import sys, time
from chatstore import ChatStore
url, wake = sys.argv[1:]
store = ChatStore(url, wake=wake)
run = store.history("c").run()
run.__enter__()
store.history("c").append_user_message("the last words")
print(time.monotonic(), end="")
"""


INTERRUPTED = "the store was closed with 1 runs and blocks open; they end as interrupted\n"


@pytest.mark.parametrize(
    ("code", "said", "texts"),
    [(FORK, "", ["parent", "child", "parent again"]), (EXIT, INTERRUPTED, ["the last words"])],
    ids=["forks", "just ends"],
)
def test_a_process_that_forks_or_just_ends_does_so_quietly(
    url: str, tmp_path: Path, code: str, said: str, texts: list[str]
) -> None:
    with serving(tmp_path) as server, ChatStore(url, wake=server.url) as store, Watcher(store.history("c")) as watcher:
        command = [sys.executable, "-W", "error", "-c", code, url, server.url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, said)
        assert time.monotonic() - float(done.stdout) < 10, "its end took that long"
        seen: list[str] = []
        while len(seen) < len(texts):
            change = watcher.next()[0]
            seen += [change.block.text] if isinstance(change, BlockAdded) else []
        assert seen == texts
        wait_until(lambda: server.connections() == ["chatstore"])
