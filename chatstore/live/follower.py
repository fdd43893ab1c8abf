"""Looking at the database for what other processes committed. On one connection and one thread; waits for nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Protocol

from sqlalchemy import Connection

from chatstore.cursor import tombstone
from chatstore.databases.base import Database
from chatstore.live.channel import Channel
from chatstore.operations import log
from chatstore.operations.log import LogPage
from chatstore.operations.rows import Cursors

PAGE = 256
"""Changes read at once; where there are more, each subscription reads pages for itself."""
FEW = 4
"""Channels that are all read at every look; of more than that it is asked first which have moved."""


class Followed(Protocol):
    """The channels of this process, as they are looked after here."""

    def count(self) -> int:
        """How many there are."""

    def channels(self) -> list[Channel]:
        """All of them."""

    def channel(self, context_id: str) -> Channel | None:
        """That of a context."""

    def stale(self) -> Iterable[Channel]:
        """The channels that have a gap, each of which is given once."""

    def add(self, channel: Channel, page: LogPage) -> None:
        """Takes what was read behind the head of a channel."""

    def tell(self) -> None:
        """Takes note that anything was committed anywhere."""


class Follower:
    """Keeps channels up to date with the database."""

    def __init__(self, database: Database, conn: Connection, cursors: Cursors, followed: Followed) -> None:
        self._database = database
        self._conn = conn
        self._cursors = cursors
        self._followed = followed
        self._place: int | None = None  # up to where the database was looked through for what has moved, if it was
        self._foreign = True  # whether the last commit was another process's
        self._version = database.version(conn)
        database.check_in_place(conn)  # whatever was done before this look
        # Those who wait may not have what was committed before that version, and no look would ask for it again.
        self._read_moved()

    def look(self, marks: Collection[str] | None = None) -> bool:
        """Reads what is new, everywhere or in contexts with these marks. Whether anybody has committed since the last
        look.

        The version is looked at before what it stands for is read. Only where few channels are followed, they are read
        first: that is the shortest way from a commit to those who wait for it. While this process itself commits, it
        would be for nothing.
        """
        if marks is not None:
            self._followed.tell()
            self._read_each([channel for channel in self._followed.channels() if channel.mark in marks])
            return True
        few = self._followed.count() <= FEW
        found = few and self._foreign and self._read_all()
        version = self._database.version(self._conn)
        if version == self._version:
            return self._read_each(self._followed.stale()) or found
        self._database.check_in_place(self._conn)
        self._version = version
        self._followed.tell()
        self._foreign = (self._read_all() if few else self._read_moved()) or found
        return True

    def _read_all(self) -> bool:
        self._place = None
        # Gaps are read with the rest. The place is given up, for channels are read one by one, each up to a place of
        # its own.
        self._followed.stale()
        return self._read_each(self._followed.channels())

    def _read_moved(self) -> bool:
        channels = self._followed.channels()
        if not channels:  # the whole store is followed, by others
            return False
        names = [channel.context_id for channel in channels]
        moved, self._place = self._database.moved(self._conn, names, self._place)
        if moved is None:
            # The database cannot tell which have moved, or this is the first time that it was asked: all are looked at.
            return self._read_each(channels)
        found = [(self._of(context_id), head) for context_id, head in moved.items()]
        behind = {channel for channel, head in found if channel is not None and (channel.head or 0) < head}
        return self._read_each(behind.union(self._followed.stale()))

    def _of(self, name: str) -> Channel | None:
        """The channel of a context; of an erased one's name the log has only a digest."""
        if not name.startswith("\0"):
            return self._followed.channel(name)
        return next((one for one in self._followed.channels() if tombstone(one.context_id) == name), None)

    def _read_each(self, channels: Iterable[Channel]) -> bool:
        found = [self._read(channel) for channel in channels]
        return any(found)

    def _read(self, channel: Channel) -> bool:
        """Reads on from the end of a channel; whether there was anything."""
        known = channel.head
        if known is None:
            return False
        page = log.news(self._conn, channel.context_id, self._cursors, after=known, limit=PAGE)
        if page.head == known:
            return False
        self._followed.add(channel, page)
        return True
