"""What was made for clients and is not sent yet: bounded for all of them together.

A client that reads nothing keeps what it was to be sent next. Those that are about the same change share it; and where
all of it is too much, the client that has read nothing for longest is cut off. It comes back at its cursor.
"""

from __future__ import annotations

import logging
from collections import Counter
from functools import cached_property
from typing import Final, Protocol

SLICE: Final = 64 * 1024
"""Bytes that are given to a connection at once. What is no longer than this is not counted: each client may have it."""
_log = logging.getLogger(__name__)


class Reader(Protocol):
    """A stream, as it is seen to here."""

    def drop(self) -> None:
        """Ends it at once, whatever was sent."""


class Frame:
    """What is sent to several clients, in the form of their protocol."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    @cached_property
    def text(self) -> str:
        """The same, for what sends text."""
        return self.data.decode()


class Unsent:
    """Counts what is kept for clients, and drops those that read nothing where that is too much."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: dict[Reader, Frame] = {}  # those that have read nothing for longest stand first
        self._readers: Counter[Frame] = Counter()
        self.bytes: int = 0

    def keep(self, reader: Reader, frame: Frame) -> None:
        """A client is being sent something long."""
        self._kept[reader] = frame
        self._readers[frame] += 1
        if self._readers[frame] == 1:
            self.bytes += len(frame.data)
        # Never the one that is served just now: it has read all that it was given until then.
        while self.bytes > self._most and (slowest := next(iter(self._kept))) is not reader:
            _log.warning("a client that does not read is cut off: %d bytes are kept for clients", self.bytes)
            self.release(slowest)
            slowest.drop()

    def moved(self, reader: Reader) -> None:
        """It has read some of it."""
        if (frame := self._kept.pop(reader, None)) is not None:
            self._kept[reader] = frame

    def release(self, reader: Reader) -> None:
        """It was sent all of it, or is gone."""
        frame = self._kept.pop(reader, None)
        if frame is None:
            return
        self._readers[frame] -= 1
        if not self._readers[frame]:
            del self._readers[frame]
            self.bytes -= len(frame.data)
