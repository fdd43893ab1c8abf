"""How often a caller comes."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from chatstore.server.problems import Problem

_SECONDS: Final = 10.0
_KEPT: Final = 10_000


class Rates:
    """A bucket of tokens for each caller: filled with `rate` a second, and holding ten seconds' worth."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._most = rate * _SECONDS
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, subject: str, now: float) -> None:
        """Takes one. Raises a Problem that says when there will be another."""
        left, since = self._left.pop(subject, (self._most, now))
        left = min(self._most, left + (now - since) * self._rate)
        refused = left < 1  # which costs nothing: or else who goes on asking would never be let in again
        self._left[subject] = left if refused else left - 1, now
        if len(self._left) > _KEPT:
            self._left.popitem(last=False)
        if refused:
            raise Problem(
                429, "too_many_requests", f"at most {self._rate:,g} requests a second of one token", retryable=True
            )
