"""Runs at a server: worked on here, ended there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from chatstore.model import Run
from chatstore.operations.running import RunEnding
from chatstore.operations.transaction import Transaction
from chatstore.remote import requesting
from chatstore.remote.calls import Call
from chatstore.remote.growing import RemoteGrowing
from chatstore.runs import AsyncRunScope, RunScope, _Scope
from chatstore.writing.flushing import Flusher
from chatstore.writing.growing import ENDED, Growing


class _AtServer(_Scope):
    """The calls that start and end a run."""

    def _start(self, core: Any) -> Callable[[Transaction], Run]:
        return requesting.start_run(self._context, self.id, self.parent_run_id)

    def _started(self, flusher: Flusher) -> None:
        super()._started(flusher)
        flusher.start()  # it renews the lease

    def _write(self, ending: RunEnding) -> Callable[[Transaction], Run]:
        return requesting.end_run(self._context, self.id, ending)

    def _end_with(self, ending: RunEnding, blocks: Iterable[Growing]) -> Callable[[Transaction], Run]:
        first: list[Call[Any]] = []
        for block in blocks:
            assert isinstance(block, RemoteGrowing)
            with suppress(*ENDED):
                first += block.last_texts(refuse=False)
        return requesting.end_run(self._context, self.id, ending, tuple(first))


class RemoteRunScope(_AtServer, RunScope):
    """A run of a history at a server, as a context manager."""


class AsyncRemoteRunScope(_AtServer, AsyncRunScope):
    """The same for an event loop."""
