"""What a remote store has open: what its server said of itself, and the thread that works in the background."""

from __future__ import annotations

import atexit
import logging
from contextlib import suppress
from dataclasses import dataclass, fields
from functools import lru_cache, partial
from typing import Any, Final
from weakref import WeakSet

from pydantic import BaseModel, ValidationError

from chatstore import checks
from chatstore.core import Options
from chatstore.cursor import NOW, CursorFactory, StoreCursors, is_cursor
from chatstore.errors import InvalidCursor, InvalidInput, UsageError
from chatstore.forking import Owner
from chatstore.limits import Limits
from chatstore.operations.growing import Ending
from chatstore.operations.rows import Cursors
from chatstore.remote import address, requesting
from chatstore.remote.calls import Call
from chatstore.remote.growing import RemoteGrowing, TextLink
from chatstore.remote.link import Link
from chatstore.writing.drafts import Rules, rules
from chatstore.writing.flushing import Flusher

_RENEWALS: Final = 5
"""Renewals within the length of a lease."""
_LOOK_EVERY: Final = 2.0
"""Seconds after which the thread comes round to end writers that were dropped: nothing may wake it then."""
_NAMED: Final = 10_000
"""Blocks, and runs, of which one request tells the server that they are worked on."""
_cores: WeakSet[RemoteCore] = WeakSet()
_log = logging.getLogger(__name__)


class About(BaseModel):
    """What a server says of the store it serves."""

    version: str
    identity: str
    limits: dict[str, int]
    body_bytes: int
    heartbeat: float
    lease: float

    def rules(self) -> Rules:
        """How the server takes what is written, as far as this version knows of it."""
        known = {name: value for name, value in self.limits.items() if name in Limits.__dataclass_fields__}
        return rules(Limits(**known), None)


def about() -> Call[About]:
    """Asks for it."""
    return Call("GET", "/store", _read_about, opens=True)


def _read_about(body: bytes) -> About:
    try:
        return About.model_validate_json(body)
    except ValidationError:
        raise UsageError("what answers at this address is no chatstore; is its path right?") from None


@dataclass(frozen=True, slots=True)
class RemoteOptions:
    """How a remote store is opened."""

    address: address.Address
    headers: dict[str, str]
    patience: float

    @staticmethod
    def of(location: Any, token: str | None, given: Options) -> RemoteOptions:
        """The checked options of a caller. Those that only a store of this process has are refused."""
        patience = checks.seconds(given.busy_timeout, "busy_timeout")
        usual = Options(given.create, given.busy_timeout)
        wrong = [f"{one.name}=" for one in fields(Options) if getattr(given, one.name) != getattr(usual, one.name)]
        if wrong:
            raise InvalidInput(f"{', '.join(wrong)} is for the store that the server opens; give it there")
        return RemoteOptions(address.parse(location), address.headers(token), patience)


class RemoteCore:
    """Shared by what a store has handed out. It has a thread once something is open."""

    def __init__(self, link: Link, told: About) -> None:
        self.about = told
        self.link = link
        self.text: TextLink = TextLink(link, told.body_bytes)
        self.cursors: Cursors = lru_cache(maxsize=4096)(partial(CursorFactory, told.identity))
        self.flusher: Flusher = Flusher(self.text)
        self.flusher.every(told.lease / _RENEWALS, self._renew)
        self.flusher.every(_LOOK_EVERY, _look)
        self._owner = Owner()
        _cores.add(self)

    @property
    def forked(self) -> bool:
        """Whether this process inherited it."""
        return self._owner.forked

    def check(self) -> None:
        """Refuses a store that came here through a fork."""
        self._owner.check()

    def check_cursor(self, cursor: object, context_id: str) -> None:
        """Refuses what is no cursor of a context; whether it is of this store, or of one it was copied from, only
        the server knows."""
        try:
            self.cursors(context_id).position(cursor)  # type: ignore[arg-type]
        except InvalidCursor:
            if not isinstance(cursor, str) or not is_cursor(cursor):
                raise

    def check_store_cursor(self, cursor: str | None) -> None:
        """The same for the place in a store's log that a subscription begins at."""
        if cursor is not None and cursor != NOW:
            # By the identity that it names itself: of which stores this one knows the cursors, the server knows.
            StoreCursors(cursor[:12]).position(cursor)

    def _renew(self) -> None:
        blocks = [block.block.id for block in self.flusher.growing if not block.stopped]
        runs = [*self.flusher.runs]
        for begin in range(0, max(len(blocks), len(runs)), _NAMED):
            part = slice(begin, begin + _NAMED)
            lost = self.link.send(requesting.renew(blocks[part], runs[part]))
            if lost:
                _log.debug("the server has %d runs and blocks of this process not open any more", len(lost))

    def hurry(self) -> None:
        """What is done from now on is not tried for long: the store closes."""
        self.link.hurry()

    def close(self) -> None:
        """Stores the text that waits, and ends the thread."""
        if not self.forked:
            self.flusher.close()
            self.link.close()


def _look() -> None:
    """Nothing: the thread looks after the rest whenever it does something."""


def only_there(what: str, where: str) -> UsageError:
    """The error for what a server does not do for others."""
    return UsageError(f"{what} is for the machine that {where} is served from; run it there: chatstore {what}")


def no_file(where: str) -> UsageError:
    """The error for whoever asks where its file is."""
    return UsageError(f"path is for stores that are files, and {where} is on a server")


@atexit.register
def _end_at_exit() -> None:
    """Stores the text that open blocks still hold, and ends what is left open."""
    for core in [*_cores]:
        if core.forked or not core.flusher.growing:
            continue
        core.hurry()
        with suppress(Exception):
            core.flusher.close()
            for block in [*core.flusher.growing]:
                if not block.stopped and isinstance(block, RemoteGrowing):
                    core.link.run_all([(block.end_block(Ending("interrupted")), None)])
