"""The lease of this process: taken with the first thing it opens, renewed by the flusher's thread."""

from __future__ import annotations

import logging
import os
import threading
from functools import partial

from chatstore import processes
from chatstore.operations import leases
from chatstore.operations.transaction import Transaction
from chatstore.writing.committer import Committer
from chatstore.writing.flushing import Flusher

_RENEWALS = 5
"""Renewals within the length of a lease."""
_log = logging.getLogger(__name__)


class LeaseHolder:
    """Holds one lease for all that this process has open in a store."""

    def __init__(self, committer: Committer, flusher: Flusher, seconds: float) -> None:
        self._committer = committer
        self._flusher = flusher
        self._seconds = seconds
        self._renewing = False
        self._taken: tuple[Transaction, int] | None = None
        self.id: int | None = None
        # It is set by whichever thread commits, and taken back by the flusher's.
        self._lock = threading.Lock()

    def take(self, transaction: Transaction) -> int:
        """Takes the lease, within the write that opens something under it, unless it is held."""
        # It may have been taken away since the last beat; what is opened under it then would never be ended.
        held = self.id
        if held is not None and leases.renew(transaction, held):
            return held
        # Of this transaction alone: one that is rolled back and made again has lost the lease, too.
        if self._taken is None or self._taken[0] is not transaction:
            pid = os.getpid()
            seconds = max(1, round(self._seconds))
            # With the time the process started: its number alone may be given to another after its death.
            taken = leases.take(transaction, processes.machine(), pid, processes.started(pid), seconds)
            self._taken = transaction, taken
            transaction.after_commit.append(partial(self._adopt, taken))
        return self._taken[1]

    def close(self) -> None:
        """Gives the lease back. What is still open under it ends as interrupted: nobody is left to write it."""
        with self._lock:
            held, self.id = self.id, None
        if held is not None and (ended := leases.take_away(self._committer.run, held)):
            _log.warning("the store was closed with %d runs and blocks open; they end as interrupted", ended)

    def _adopt(self, taken: int) -> None:
        with self._lock:
            self.id = taken
            self._taken = None
            begins, self._renewing = not self._renewing, True
        if begins:
            self._flusher.every(self._seconds / _RENEWALS, self._renew)
            self._flusher.start()

    def _renew(self) -> None:
        held = self.id
        # Not synced: a beat that a power cut takes is that of a process which is gone.
        if held is not None and not self._committer.run(partial(leases.renew, lease_id=held), synced=False):
            _log.warning("another process took this one for dead; what it had open was ended as interrupted")
            with self._lock:
                if self.id == held:  # or else a run that began since has taken a new one
                    self.id = None
