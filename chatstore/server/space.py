"""Whether a store has space to write."""

from __future__ import annotations

import time

from chatstore.errors import StoreFull


class Space:
    """Whether there is space to write, as the last writes found it."""

    PATIENCE = 30.0
    """Seconds after which a write is worth another try: whoever is sent none would never know better."""

    def __init__(self) -> None:
        self._until = 0.0

    @property
    def is_missing(self) -> bool:
        """Whether there was none, and nothing was written since."""
        return time.monotonic() < self._until

    def tell(self, error: Exception | None) -> None:
        """A write ended so."""
        if error is None:
            self._until = 0.0
        elif isinstance(error, StoreFull):
            self._until = time.monotonic() + self.PATIENCE
