"""Signs of life for streams in which nothing happens: one timer for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

_STEPS: Final = 60
"""Into so many parts the time between two signs of one stream is divided; in each, its share of them is seen to."""


class Beating(Protocol):
    """A stream, as it is seen to here."""

    idle_since: float

    def beat(self) -> None:
        """Sends a sign of life, or begins to. Never waits."""


class Pulse:
    """Beats for each stream that has sent nothing for `seconds`."""

    def __init__(self, seconds: float, clock: Callable[[], float] | None = None) -> None:
        self._seconds = seconds
        self._clock = clock
        self._beating: dict[Beating, None] = {}
        self._task: asyncio.Task[None] | None = None

    def join(self, stream: Beating) -> None:
        """Sees to a stream from now on."""
        self._beating[stream] = None
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._serve())

    def leave(self, stream: Beating) -> None:
        """Sees to it no more."""
        self._beating.pop(stream, None)

    def close(self) -> None:
        """Ends the timer."""
        if self._task is not None:
            self._task.cancel()

    async def _serve(self) -> None:
        with suppress(asyncio.CancelledError):
            while True:
                await asyncio.sleep(self._seconds / _STEPS)
                self._see_to()

    def _see_to(self) -> None:
        now = asyncio.get_running_loop().time() if self._clock is None else self._clock()
        # Those that were quiet for longest stand first: who sends something goes to the end.
        for stream in [*self._beating]:
            if stream.idle_since > now - self._seconds:
                break
            stream.beat()
            self.moved(stream)

    def moved(self, stream: Beating) -> None:
        """A stream has sent something just now."""
        if stream in self._beating:
            del self._beating[stream]
            self._beating[stream] = None
