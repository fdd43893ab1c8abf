"""What an answer means, and whether to ask again. No I/O: the clock and the randomness are passed in."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, Final, Generic, TypeVar

import httpx

from chatstore.errors import ChatStoreError, StoreClosed, StoreUnavailable, UsageError
from chatstore.remote.calls import Call
from chatstore.remote.reasons import reason
from chatstore.wire.problems import error_of

T = TypeVar("T")
BROKEN: Final = (httpx.HTTPError, httpx.StreamError)
"""What httpx raises where a connection, or an answer, is not as it should be."""
FIRST_PAUSE, LONGEST_PAUSE = 0.02, 2.0
"""Seconds between the first two attempts, and between the later ones; each is half as long at random."""
SOON: Final = 2.0
"""Seconds in which a server that was started just before the store is opened has to listen."""
AT_HAND: Final = "hand"
"""Stands for the address where only the link knows it: messages then speak of the server at hand."""
# Also behind a proxy, which may not know what was done: what writes has a name, and is not done twice.
_AGAIN: Final = frozenset({429, 502, 503, 504})
_REFUSED: Final = frozenset({"unauthorized", "not_found", "wrong_host", "wrong_origin", "method_not_allowed"})


class Patience:
    """How long, and how often, something is tried again."""

    def __init__(self, seconds: float, clock: Callable[[], float], random: Callable[[], float]) -> None:
        self._seconds = seconds
        self._clock = clock
        self._random = random
        self._begun: float | None = None
        self._pause = FIRST_PAUSE

    def reset(self) -> None:
        """It went well."""
        self._begun = None
        self._pause = FIRST_PAUSE

    def pause(self, least: float = 0.0, most: float = math.inf) -> float | None:
        """Seconds until the next attempt, after one that failed; None when it has gone on for too long, which `most`
        can make shorter."""
        now = self._clock()
        if self._begun is None:
            self._begun = now
        left = self._begun + min(self._seconds, most) - now
        if left <= 0:
            return None
        pause = max(least, self._pause * (0.5 + self._random() / 2))
        self._pause = min(2 * self._pause, LONGEST_PAUSE)
        return min(pause, left)


class Sending(Generic[T]):
    """One call, from its first attempt to its answer."""

    def __init__(self, call: Call[T], patience: Patience, where: object) -> None:
        self._call = call
        self._patience = patience
        self._where = where

    def answered(self, status: int, headers: Mapping[str, str], body: bytes) -> tuple[T | None, float | None]:
        """What it gave; or seconds after which to ask again. Raises what it was refused with."""
        if status == 404 and self._call.missing is not None and problem_of(body).get("code") == "not_found":
            return self._call.missing(), None
        if 200 <= status < 300:
            return self._read(body), None
        if status in _AGAIN:
            pause = self._patience.pause(retry_after(headers) if status == 429 else 0.0)
            if pause is not None:
                return None, pause
        raise refusal(status, body, self._where)

    def _read(self, body: bytes) -> T:
        try:
            return self._call.read(body)
        except ChatStoreError:
            raise
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            raise no_server(self._where, f"an answer that cannot be read ({type(error).__name__})") from error

    def failed(self, error: Exception) -> float:
        """Seconds after which to ask again, when no answer came. Raises StoreUnavailable when it took too long; and
        soon, where a store is opened at an address that looks wrong."""
        why = reason(error)
        opens = self._call.opens
        pause = None if opens and why.lasts else self._patience.pause(most=SOON if opens and why.soon else math.inf)
        if pause is None:
            raise unreachable(self._where, error) from error
        return pause


def unreachable(where: object, error: Exception | None) -> StoreUnavailable:
    """The error for a server that does not answer."""
    if error is None:
        return StoreUnavailable(f"the server at {where} gave no answer; try again")
    return StoreUnavailable(f"the server at {where} cannot be reached: {reason(error).text}")


def no_server(where: object, what: str) -> UsageError:
    """The error for answers that no server of ours gives."""
    return UsageError(f"the server at {where} gave {what}; is there a chatstore at this address?")


def closed(where: object) -> StoreClosed:
    """The error for a store that was closed meanwhile."""
    return StoreClosed(f"{where} was closed; open it again")


def retry_after(headers: Mapping[str, str]) -> float:
    """Seconds that the server asks to be left alone for."""
    text = headers.get("retry-after", "")
    return float(text) if text.isdecimal() and len(text) < 4 else 0.0


def problem_of(body: bytes) -> dict[str, Any]:
    """The problem that a body is; an empty one, if it is none."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def refusal(status: int, body: bytes, where: object) -> ChatStoreError:
    """The error that an answer tells of."""
    return error_told(problem_of(body), status, where)


def error_told(problem: Mapping[str, Any], status: int, where: object) -> ChatStoreError:
    """The error of a problem. That the server's own store is closed is no fault of this one's."""
    if problem.get("code") in _REFUSED or (not problem and 300 <= status < 500 and status not in _AGAIN):
        detail = problem.get("detail") or f"status {status}; is there a chatstore at this address?"
        given = "; it is given as token=, to commands in CHATSTORE_TOKEN" if status == 401 else ""
        return UsageError(f"the server at {where} refused: {detail}{given}")
    found = error_of(problem, status)
    if isinstance(found, StoreClosed) or (not problem and status in _AGAIN) or problem.get("code") == "closing":
        return unreachable(where, None)
    return found
