"""The bus that NATS is: core publish and subscribe, a subject for each store."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable

from chatstore.cursor import context_mark
from chatstore.wakers import Moved, Waker
from chatstore.wakers.bus import OFTEN, SELDOM
from chatstore.wakers.nats.link import Link
from chatstore.wakers.nats.url import NatsUrl
from chatstore.wakers.notices import Gathered
from chatstore.wakers.poll import PollWaker


class NatsBus:
    """One connection for both, made when it is first used; see Bus."""

    def __init__(self, url: NatsUrl, identity: str) -> None:
        self._waker = NatsWaker()
        self._link = Link(url, identity, self._waker.hear, self._waker.turn)

    def behind_commit(self, contexts: Collection[str]) -> None:
        """The database has nothing to do with it."""

    def tell(self, contexts: Iterable[str]) -> None:
        """Has the link's thread tell it."""
        self._link.tell(map(context_mark, contexts))

    def waker(self) -> Waker:
        """Begins to hear, for as long as the store is open."""
        self._link.listen()
        return self._waker

    def close(self) -> None:
        """Tells what there is to tell, and ends the link's thread."""
        self._link.close()


class NatsWaker:
    """Waits for what the link hears, and looks for changes while that hears nothing."""

    name = "nats"

    def __init__(self) -> None:
        self._news = threading.Condition()
        self._heard = Gathered()
        self._nudged = False
        self._looking: PollWaker | None = PollWaker(OFTEN, SELDOM)

    @property
    def hears(self) -> bool:
        """Whether NATS works."""
        return self._looking is None

    def hear(self, marks: Iterable[str] | None) -> None:
        """Contexts with these marks were written to, or any; from the link's thread, as the next."""
        with self._news:
            self._heard.add(marks)
            self._news.notify()

    def turn(self, hears: bool) -> None:
        """It hears from now on, or no more. What was told in between is found by looking: the wait ends for that."""
        if hears != self.hears:
            before, self._looking = self._looking, None if hears else PollWaker(OFTEN, SELDOM)
            if before is not None:
                before.nudge()
            self.nudge()

    def wait(self, timeout: float, moved: Moved) -> bool:
        """Returns true once something was heard and looked at; false after a nudge, or after the time."""
        looking = self._looking
        if looking is not None:
            return looking.wait(timeout, moved)
        with self._news:
            self._news.wait_for(lambda: self._nudged or self._heard, timeout)
            nudged, self._nudged = self._nudged, False
            marks = self._heard.take() if self._heard else frozenset()
        if nudged or marks == frozenset():
            return False  # and everything is looked at
        return moved() if marks is None else moved(marks)

    def nudge(self) -> None:
        """Ends the wait, or the next one."""
        looking = self._looking
        if looking is not None:
            looking.nudge()
        with self._news:
            self._nudged = True
            self._news.notify()

    def close(self) -> None:
        """Nothing to give back: the link is the store's."""
