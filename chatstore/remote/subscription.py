"""Subscriptions to what is at a server, for threads: one connection each, read by a thread of its own."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import ExitStack, suppress
from math import inf
from typing import Any
from weakref import finalize

import httpx

from chatstore.changes import Change
from chatstore.cursor import Cursor
from chatstore.errors import ChatStoreError
from chatstore.forking import Owner
from chatstore.live.following import LONGEST_SLEEP, SyncFollowing
from chatstore.live.store_subscription import StoreSubscription
from chatstore.live.subscription import Subscription
from chatstore.remote import answers
from chatstore.remote.answers import Patience
from chatstore.remote.feed import Feed
from chatstore.remote.link import CONNECT, Link
from chatstore.wire import framing

SLACK = 1.0
"""Seconds more than are told until something is taken for lost."""


def silence(heartbeat: float, left: float | None) -> float:
    """Seconds without a byte after which a stream is taken for broken."""
    most = 2.5 * heartbeat + SLACK
    return most if left is None else min(most, left + SLACK)


def check_stream(response: httpx.Response, where: object) -> None:
    """Refuses an answer that is no stream of events."""
    found = response.headers.get("content-type", "")
    if not found.startswith(framing.EVENT_STREAM):
        raise answers.no_server(where, "no events where they were asked for")


class Stream:
    """The bytes of one answer that goes on; another thread may cut it off, also while it waits for its beginning."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._lock = threading.RLock()  # the garbage collector may cut it off in the midst of anything
        self._socket: socket.socket | None = None
        self._cut = False
        self._open = ExitStack()
        self._pieces: Any = iter(())

    def begin(self, feed: Feed, heartbeat: float) -> None:
        """Asks for what follows. Raises what was refused, or an error of httpx."""
        # A client of its own: a connection that a pool had kept would not tell of its socket, which `cut` needs.
        client = self._open.enter_context(httpx.Client(**self._link.options))
        timeout = httpx.Timeout(silence(heartbeat, None), connect=CONNECT, read=silence(heartbeat, feed.left()))
        response = self._open.enter_context(
            client.stream(
                "POST", feed.path, content=feed.request(), timeout=timeout, extensions={"trace": self._connected}
            )
        )
        if response.status_code != 200:
            raise answers.refusal(response.status_code, response.read(), self._link.address)
        check_stream(response, self._link.address)
        self._pieces = response.iter_bytes()

    def next(self) -> bytes | None:
        """The next piece; None at the end."""
        piece: bytes | None = next(self._pieces, None)
        return piece

    def _connected(self, event: str, info: dict[str, Any]) -> None:
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            with self._lock:
                self._socket = info["return_value"].get_extra_info("socket")
                if self._cut:
                    self._shut()

    def cut(self) -> None:
        """Has whoever reads it come back at once."""
        with self._lock:
            self._cut = True
            self._shut()

    def _shut(self) -> None:
        if self._socket is not None:
            # `shutdown`, and not `close`: it wakes the thread that is reading, and leaves it the descriptor to close.
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Lets go of it; by the thread that reads it."""
        with suppress(*answers.BROKEN):
            self._open.close()


class Pump:
    """Reads a feed on a thread of its own, so that what comes is joined while nobody takes it. It knows nothing of the
    subscription, which may be dropped meanwhile."""

    def __init__(self, link: Link, feed: Feed, heartbeat: float) -> None:
        self.feed = feed
        self.moved: threading.Condition = threading.Condition()
        self.error: Exception | None = None
        self._link = link
        self._heartbeat = heartbeat
        self._stopping = threading.Event()
        self._stream = Stream(link)
        self._thread: threading.Thread | None = None
        self._runs = False
        self._owner = Owner()

    def check(self) -> None:
        """Refuses one that came here through a fork: its locks may be held by threads that did not."""
        self._owner.check()

    def start(self) -> None:
        """Reads on, from where it was left, unless it does."""
        if not self._runs:
            self._runs = True
            self._thread = threading.Thread(target=self._run, name="chatstore-follower", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Ends it; from any thread. A forked child leaves it to the parent, whose connection it would cut."""
        if self._owner.forked:
            return
        self._stopping.set()
        self._stream.cut()
        with self.moved:
            self.moved.notify_all()

    def join(self) -> None:
        """Waits until it has let go of its connection."""
        if self._owner.forked or self._thread is None:
            return
        if self._thread is not threading.current_thread():
            self._thread.join(CONNECT)

    def _run(self) -> None:
        patience = self._link.attempts()
        error: Exception | None = None
        try:
            while not self._done():
                pause = self._read(patience)
                if not self._done():
                    self._stopping.wait(pause)
        except Exception as failure:
            error = failure
        with self.moved:
            self.error = error
            self._runs = False
            self.moved.notify_all()

    def _done(self) -> bool:
        return self.feed.complete or self._stopping.is_set()

    def _read(self, patience: Patience) -> float:
        """Reads one connection to its end; seconds until the next."""
        error: Exception | None = None
        self._stream = stream = Stream(self._link)
        try:
            if self._stopping.is_set():
                return 0.0
            stream.begin(self.feed, self._heartbeat)
            while not self.feed.complete and (piece := stream.next()) is not None:
                self._take(piece, patience)
        except (*answers.BROKEN, ChatStoreError) as failure:
            error = failure
        finally:
            stream.close()
        return 0.0 if self._done() else self.feed.broke(error, patience, self._link.address)

    def _take(self, piece: bytes, patience: Patience) -> None:
        with self.moved:
            self.feed.feed(piece, patience)
            self.moved.notify_all()
            while self.feed.full and not self._stopping.is_set():
                self.moved.wait()


class _Remote(SyncFollowing[Any, Any, Any]):
    """The steps of a thread: give out what is ready, wait for the one that reads."""

    def __init__(self, link: Link, feed: Feed, heartbeat: float) -> None:
        self._pump = Pump(link, feed, heartbeat)
        self._ended = False
        self._dropped = finalize(self, self._pump.stop)
        self._dropped.atexit = False
        try:
            with self._pump.moved:
                while not (feed.started or feed.complete or self._ended):
                    self._step()
        except BaseException:
            self.stop()
            raise

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {'ended' if self._ended else f'at {self.cursor}'}>"

    @property
    def cursor(self) -> Cursor | None:
        """Where to resume without missing or repeating anything: behind the last change that was given out, and
        behind all that the filter left out since. None before it started from "now" or from the beginning."""
        return self._pump.feed.cursor

    def _next(self, until: float = inf) -> Change | None:
        feed = self._pump.feed
        self._pump.check()
        with self._pump.moved:
            while not self._ended:
                if (change := feed.take()) is not None:
                    self._pump.moved.notify_all()  # there is room again
                    return change
                if feed.complete:
                    break
                if (left := until - time.monotonic()) <= 0:
                    return None
                self._step(left)
        self.close()
        return None

    def _step(self, left: float = LONGEST_SLEEP) -> None:
        pump = self._pump
        if (error := pump.error) is not None:
            pump.error = None  # the next step tries again
            raise error
        pump.start()
        pump.moved.wait(min(left, LONGEST_SLEEP))

    def close(self) -> None:
        """Ends the subscription. Idempotent; from any thread."""
        self.stop()
        self._pump.join()

    def stop(self) -> None:
        """What `close` does, for the store that closes."""
        self._ended = True
        self._pump.stop()


class RemoteSubscription(_Remote, Subscription):
    """A Subscription to a history at a server. A lost connection is taken up where it broke off; when the server stays
    away for longer than the store's `busy_timeout`, it raises StoreUnavailable, and the next step tries again."""


class RemoteStoreSubscription(_Remote, StoreSubscription):
    """The same for a whole store."""
