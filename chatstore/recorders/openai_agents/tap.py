"""What a recording and a session of one history tell each other, so that no item is stored twice."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet, ref

from chatstore.async_history import AsyncHistory
from chatstore.errors import ChatStoreError, RunCancelled
from chatstore.recorders.machine.async_script_writer import AsyncScriptWriter
from chatstore.recorders.openai_agents.alone import Alone, is_same

if TYPE_CHECKING:
    from chatstore.recorders.openai_agents.script import AgentsScript

_CALLS: Final = 64
"""How far back a call is looked for."""
_TAPS: Final[WeakSet[Tap]] = WeakSet()


class Tap:
    """A recording, as the sessions see it. They are many; it does not keep its recording alive."""

    def __init__(self, script: AgentsScript, writer: AsyncScriptWriter) -> None:
        self._script = script
        self._writer = ref(writer)
        self._course = writer.course
        self._history = writer.history
        self._waiting = script.waiting()
        self._given = [(one, script.given(one.items)) for one in Alone.of(script.result, writer.history)]
        self._recalling = asyncio.Lock()
        _TAPS.add(self)

    @classmethod
    def of(cls, script: AgentsScript, writer: Any) -> Tap | None:
        """The tap of a recording in an event loop; sessions know no other."""
        return cls(script, writer) if isinstance(writer, AsyncScriptWriter) else None

    @classmethod
    def find(cls, history: AsyncHistory, context: Any) -> Tap | None:
        """The recording of the run that a session is used by. `context`: the run's RunContextWrapper, if it is known;
        without it, the only recording of this history that goes on."""
        here = [tap for tap in _TAPS if tap._is_of(history)]
        if context is not None:
            own = [tap for tap in here if getattr(tap._script.result, "context_wrapper", None) is context]
            if own:
                return own[-1]
            here = [tap for tap in here if tap._script.result is None]
        here = [tap for tap in here if not tap._course.over]
        return here[0] if len(here) == 1 else None

    def _is_of(self, history: AsyncHistory) -> bool:
        return is_same(self._history, history)

    @property
    def run_id(self) -> str | None:
        """The run, while it goes on."""
        writer = self._writer()
        return None if writer is None or self._course.over else writer.scope.id

    async def recall(self) -> None:
        """Looks up what a session has stored of the run before it was recorded, and the calls that were made by a run
        that this one goes on from: their results come now."""
        async with self._recalling:
            given, self._given = self._given, []
            for one, keys in given:
                blocks = zip(keys, await one.stored(), strict=False)
                self._course.blocks |= {key: id for key, id in blocks if id is not None}
            waiting, self._waiting = self._waiting, frozenset()
            if not waiting or self._course.over:
                return
            with suppress(ChatStoreError):
                calls = await self._history.get_messages(types=["function_call"], last=_CALLS)
                newest = {(call.data or {}).get("call_id"): call for call in calls}
                for call_id in waiting & newest.keys():
                    call = newest[call_id]
                    self._course.blocks[call.id] = call.id
                    self._script.recalled(call.id, call_id, call.data.get("name"))

    async def settle(self, items: list[Any]) -> list[str | None]:
        """The ids of the blocks that these items are, as far as the run knows them; it writes what it does not have."""
        from chatstore.recorders.openai_agents.script import Saved

        saved, writer = Saved(items), self._writer()
        if writer is not None and not self._course.over:
            with suppress(RunCancelled):  # whoever reads the events is told
                await writer.begin()
                await self.recall()
                await writer.take(saved)
        if self._course.over and not saved.keys:
            self._script.claim(saved)
        blocks = [None if key is None else self._course.blocks.get(key) for key in saved.keys]
        return [*blocks, *([None] * (len(items) - len(blocks)))]
