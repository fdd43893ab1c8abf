"""What sessions were given of runs that nothing recorded yet, so that a recording that begins late knows it."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import Any, Final, Self
from weakref import WeakKeyDictionary, ref

from chatstore.async_history import AsyncHistory

_MOST: Final = 64
"""Adds of one run that are kept in mind."""
_ALONE: Final[WeakKeyDictionary[Any, deque[Alone]]] = WeakKeyDictionary()


class Alone:
    """Items that a session stores by itself, for as long as the context of their run is there. `blocks`: their blocks,
    once they are stored."""

    def __init__(self, history: AsyncHistory, context: Any, items: list[Any]) -> None:
        self.items: list[Any] = items
        self.blocks: list[str | None] = []
        self._history = history
        self._done = asyncio.Event()
        task = asyncio.current_task()
        self._task = None if task is None else ref(task)
        with suppress(TypeError):  # of a context that cannot be referred to
            _ALONE.setdefault(context, deque(maxlen=_MOST)).append(self)

    @classmethod
    def of(cls, result: Any, history: AsyncHistory) -> list[Alone]:
        """What sessions of a history were given by the run of a result. Runs may share a context: it is that of the
        task that works on this one."""
        names = ("run_loop_task", "_sandbox_wrapped_run_loop_task")
        tasks = [task for name in names if (task := getattr(result, name, None)) is not None]
        try:
            all_of_it = [*_ALONE.get(getattr(result, "context_wrapper", None), ())]
        except TypeError:
            return []
        return [
            one
            for one in all_of_it
            if one._task is not None and one._task() in tasks and is_same(one._history, history)
        ]

    async def stored(self) -> list[str | None]:
        """The block of each, once it is known; none of what could not be stored."""
        await self._done.wait()
        return self.blocks

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()


def is_same(one: AsyncHistory, other: AsyncHistory) -> bool:
    """Whether both are one history of one store."""
    return one._store is other._store and one.context_id == other.context_id
