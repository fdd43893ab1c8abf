"""Requests that are repeated because their answer was lost: answered again, and not done again."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from hashlib import sha256
from typing import Any, Final, TypeAlias, TypeVar

from chatstore import AsyncHistory, Block
from chatstore.errors import KeyConflict

T = TypeVar("T")
Awaited: TypeAlias = Coroutine[Any, Any, T]
_KEPT: Final = 10_000


class Once:
    """The last answers to requests that have a name (Idempotency-Key), for as long as this server runs."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, ...], tuple[bytes, asyncio.Task[Any]]] = OrderedDict()

    async def do(
        self, kind: str, history: AsyncHistory, key: str | None, given: object, work: Callable[[], Awaited[T]]
    ) -> T:
        """What the work gives. Under a key that was there before, what it gave then, and KeyConflict if something else
        is given now; what was refused is tried anew."""
        if key is None:
            return await work()
        name, content = (kind, history.context_id, key), _digest(given)
        before, task = self._known.get(name, (content, None))
        if before != content:
            raise KeyConflict(f"the key {key[:100]!a} was used with other content; take a new key for each {kind}")
        if task is None:
            task = asyncio.get_running_loop().create_task(work())
            self._known[name] = content, task
            task.add_done_callback(lambda done: self._settled(name, done))
        # A caller who goes away breaks nothing off: with the same key it gets the answer later.
        return await asyncio.shield(task)

    async def change(
        self,
        kind: str,
        history: AsyncHistory,
        key: str | None,
        given: object,
        block: str,
        work: Callable[[], Awaited[Block]],
    ) -> Block:
        """The block that was changed; as it is now, if that was before. Its text is not kept."""
        changed: list[Block] = []

        async def done() -> None:
            changed.append(await work())

        await self.do(kind, history, key, (block, given), done)
        return changed[0] if changed else await history.get_block(block)

    def _settled(self, name: tuple[str, ...], task: asyncio.Task[Any]) -> None:
        if task.cancelled() or task.exception() is not None:
            self._known.pop(name, None)
        while len(self._known) > _KEPT and next(iter(self._known.values()))[1].done():
            self._known.popitem(last=False)


def _digest(given: object) -> bytes:
    return sha256(repr(given).encode("utf-8", "surrogatepass")).digest()
