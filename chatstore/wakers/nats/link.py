"""A store's one connection to NATS, on a thread of its own: made with the first notice or the first who waits for one,
and made again for as long as the store is open."""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

from nats.aio.msg import Msg
from nats.errors import Error, SlowConsumerError

from chatstore.wakers.nats.client import CLOSE_SECONDS, NatsClient, NotHeard, connected, subscribe
from chatstore.wakers.nats.loop import LinkLoop, until
from chatstore.wakers.nats.url import NatsUrl
from chatstore.wakers.notices import GATHER, Gathered, read, sender, write

AGAIN, LONGEST_AGAIN = 0.1, 10.0
"""Seconds after which it is tried again, at first and at most; a little less at random, so that thousands of processes
do not come back at once."""
HEARTBEAT: Final = 4.0
"""Seconds after which the server is asked whether it is there, and for which its answer is waited for."""
LAST_SECONDS: Final = 1.0
"""Seconds for which a store that closes waits until its last notice is sent."""

_log = logging.getLogger(__name__)


class Link:
    """Tells what it is given, and gives what it hears to `heard`: marks, or None for all. `works` is told whether it
    hears. Nothing is raised: that there is no server is said once, until there is one again."""

    def __init__(
        self,
        url: NatsUrl,
        identity: str,
        heard: Callable[[Iterable[str] | None], None],
        works: Callable[[bool], None],
    ) -> None:
        self._url = url
        self._subject = f"chatstore.{identity}"
        self._own = sender()
        self._heard = heard
        self._works = works
        self._lock = threading.Lock()
        self._untold = Gathered()
        self._thread: threading.Thread | None = None
        self._loop: LinkLoop | None = None
        self._news, self._ending = asyncio.Event(), asyncio.Event()
        self._listens = self._closed = self._said = False
        self._pause = AGAIN
        self._refusal: Exception | None = None

    def tell(self, marks: Iterable[str]) -> None:
        """Has it told that contexts with these marks were written to. From any thread, as the two that follow."""
        with self._lock:
            idle = not self._untold
            self._untold.add(marks)
            if idle or self._thread is None:
                self._poke()

    def listen(self) -> None:
        """Begins to hear."""
        with self._lock:
            self._listens = True
            self._poke()

    def close(self) -> None:
        """Tells what there is to tell, and ends the thread."""
        with self._lock:
            self._closed = True
            thread, loop = self._thread, self._loop
        if thread is None or loop is None:
            return
        with suppress(RuntimeError):  # it has ended
            loop.call_soon_threadsafe(self._end)
        thread.join(LAST_SECONDS + 3 * CLOSE_SECONDS)  # a name server may hold it longer, which nobody waits for

    def _poke(self) -> None:
        if self._closed:
            return
        if self._loop is None:
            self._begin()
            return
        with suppress(RuntimeError):  # it has ended
            self._loop.call_soon_threadsafe(self._news.set)

    def _begin(self) -> None:
        try:
            loop = LinkLoop()
        except OSError as error:  # no descriptors are left; the next notice tries again
            self._say(error)
            return
        thread = threading.Thread(target=self._serve, args=(loop,), name="chatstore-nats", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # nor threads; or the process ends, and begins none any more
            loop.close()
            self._say(error)
            return
        self._loop, self._thread = loop, thread

    def _end(self) -> None:
        self._ending.set()
        self._news.set()

    def _serve(self, loop: LinkLoop) -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(self._live(loop))

    async def _live(self, loop: LinkLoop) -> None:
        keeping = asyncio.create_task(self._keep(loop))
        await self._ending.wait()
        await asyncio.wait([keeping], timeout=LAST_SECONDS)
        keeping.cancel()
        await asyncio.wait([keeping], timeout=CLOSE_SECONDS)
        loop.cut()

    async def _keep(self, loop: LinkLoop) -> None:
        while True:  # once at least: a store may be closed right after its first notice
            self._refusal = None
            try:
                async with connected(self._url, self._report, self._lost) as client:
                    await self._stay(client)
            except Exception as error:
                self._say(self._refusal or error)
            loop.cut()
            await until(self._ending, random.uniform(self._pause / 2, self._pause))
            if self._ending.is_set():
                return
            self._pause = min(2 * self._pause, LONGEST_AGAIN)

    async def _stay(self, client: NatsClient) -> None:
        """Tells and hears over a connection until it is gone, or the store closes."""
        hears, answered = False, time.monotonic()
        if not self._listens:
            self._begin_anew()
        try:
            while client.is_connected:
                self._news.clear()
                if self._listens and not hears:
                    hears = await self._begin_to_hear(client)
                if self._untold:
                    await self._tell(client)
                if self._ending.is_set():
                    await client.flush(round(LAST_SECONDS))
                    return
                if time.monotonic() >= answered + HEARTBEAT:
                    await client.flush(round(HEARTBEAT))
                    answered = time.monotonic()
                await until(self._news, answered + HEARTBEAT - time.monotonic())
            _log.info("the connection to NATS at %s was lost", self._url)
        finally:
            self._works(False)

    async def _begin_to_hear(self, client: NatsClient) -> bool:
        self._refusal = None  # another server of the cluster may have been away
        await subscribe(client, self._subject, self._own, self._receive)
        if self._refusal is not None:
            raise NotHeard(str(self._refusal))
        self._begin_anew()
        self._works(True)
        return True

    async def _tell(self, client: NatsClient) -> None:
        with self._lock:
            marks = self._untold.take()
        payload = write(self._own, marks).encode()
        if len(payload) > client.max_payload:
            payload = write(self._own, None).encode()
        await client.publish(self._subject, payload)
        await asyncio.sleep(GATHER)

    async def _receive(self, message: Msg) -> None:
        try:
            notice = read(message.data.decode())
        except ValueError:  # whoever sent that is none of us
            self._heard(None)
        else:
            if notice.sender != self._own:
                self._heard(notice.marks)

    async def _report(self, error: Exception) -> None:
        """What nats-py comes upon beside what it was asked for."""
        self._refusal = error
        if isinstance(error, SlowConsumerError):
            self._heard(None)
        elif type(error) is Error:  # the server's own words: we may not say or hear that
            self._say(error)

    async def _lost(self) -> None:
        self._news.set()

    def _begin_anew(self) -> None:
        self._said, self._pause = False, AGAIN

    def _say(self, error: Exception) -> None:
        _log.log(
            logging.DEBUG if self._said else logging.WARNING,
            "NATS at %s does not work (%s), and changes of other processes are looked for instead; it is tried again",
            self._url,
            str(error).strip() or type(error).__name__,
        )
        self._said = True
