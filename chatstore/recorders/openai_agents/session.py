"""A session of OpenAI's Agents SDK that is a history.

What a session was given stands in the log in that order, so that its last items are found without reading the others.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final
from uuid import uuid4

from chatstore.async_history import AsyncHistory
from chatstore.errors import InvalidInput, KeyConflict, MissingExtra, RunOver
from chatstore.model import Block, BlockDraft, Part
from chatstore.recorders.machine.script import Put
from chatstore.recorders.openai_agents.alone import Alone
from chatstore.recorders.openai_agents.given import (
    CLEARED,
    ITEMS,
    MOST,
    TAKEN,
    item_of,
    items_draft,
    left_of,
    taken_tag,
)
from chatstore.recorders.openai_agents.items import call_id_of, is_storable, shown_by, type_of
from chatstore.recorders.openai_agents.tap import Tap
from chatstore.recorders.shared.provider_events import plain

_CALLS: Final = 64
"""How far back a call is looked for whose result is given without it."""
_REWRITTEN: Final = 1_000
_PAGE: Final = 64


class ChatStoreSession:
    """The memory of an agent: `Runner.run(agent, "Hi", session=ChatStoreSession(history))`.

    It gives back the very items that it was given, in that order. Each is a block too: a message, reasoning, a call and
    its result; where `record` writes the same run, they are the blocks that it wrote. Nothing is taken out of the log:
    `pop_item` and `clear_session` add to it, and `history.erase()` removes all.

    `session_settings`: SessionSettings of the package, or a dict of them; `limit` is how many items an agent is given.
    """

    def __init__(self, history: AsyncHistory, *, session_settings: Any = None) -> None:
        if not isinstance(history, AsyncHistory):
            raise InvalidInput(f"a session takes a history of an AsyncChatStore, not {type(history).__name__}")
        self.history = history
        self.session_id: str = history.context_id
        self.session_settings: Any = _settings(session_settings)
        self._taken: list[tuple[Block, int]] = []

    async def get_items(self, limit: int | None = None, *, wrapper: Any = None) -> list[Any]:
        """The items, or the last `limit` of them, from the oldest to the newest; as many of the end of the history are
        read as that takes. By default as many as the settings say."""
        self._taken = []
        if limit is None:
            limit = getattr(self.session_settings, "limit", None)
        most = None if limit is None or limit < 0 else limit
        return [await item_of(block, place, self._read_bytes) for block, place in await self._last(most)]

    async def add_items(self, items: list[Any], *, wrapper: Any = None) -> None:
        """Adds items behind the others: all of them, or none if it raises."""
        given = [_item(item) for item in items]
        if not given:
            return
        tap = Tap.find(self.history, wrapper)
        if tap is not None:
            await self._add(given, await tap.settle(given), tap)
            return
        with Alone(self.history, wrapper, given) as alone:
            alone.blocks = await self._add(given, [None] * len(given), None)

    async def _add(self, items: list[Any], known: list[str | None], tap: Tap | None) -> list[str | None]:
        known = await self._as_before(items, known)
        try:
            return await self._append(items, known, None if tap is None else tap.run_id)
        except RunOver:  # what the run said is remembered, whoever ended it meanwhile
            return await self._append(items, known, None)

    async def _append(self, items: list[Any], known: list[str | None], run_id: str | None) -> list[str | None]:
        """Stores them, and tells the block of each."""
        drafts, shown = await self._shown(items, known, run_id)
        for at in range(0, len(items), MOST):
            these = [len(drafts) - one if isinstance(one, int) else one for one in shown[at : at + MOST]]
            drafts.append(items_draft(items[at : at + MOST], these))
        blocks = await self.history.append(drafts)
        return [blocks[one].id if isinstance(one, int) else one for one in shown]

    async def pop_item(self, *, wrapper: Any = None) -> Any:
        """Takes the newest item back, and returns it; None where there is none. No two callers are given the same."""
        while last := await self._last(1):
            [(block, place)] = last
            mine = BlockDraft(type=TAKEN, internal=True, parent=block, data={"place": place, "by": str(uuid4())})
            try:
                await self.history.append(mine, key=f"{TAKEN}:{block.id}:{place}")
            except KeyConflict:  # another was faster, and perhaps ended before it could say so
                await self.history.tag(block, taken_tag(place))
                continue
            await self.history.tag(block, taken_tag(place))
            self._taken = [(block, place), *self._taken]
            return await item_of(block, place, self._read_bytes)
        return None

    async def clear_session(self, *, wrapper: Any = None) -> None:
        """Takes all items back. The history keeps them, for people to read."""
        before = await self._last(_REWRITTEN)
        await self.history.append(BlockDraft(type=CLEARED, internal=True))
        self._taken = [*before, *self._taken]

    async def remember(self, block: Block) -> None:
        """Adds a message that is in the history, and that the session was not given: what an agent had said when it was
        stopped, which the package forgets, or what another agent said."""
        item = {"role": block.role, "content": block.text}
        await self.history.append(items_draft([item], [block.id]))

    async def _last(self, most: int | None) -> list[tuple[Block, int]]:
        """The last items that are there: the block that each is in, and its place there."""
        if most == 0:
            return []
        cleared = await self.history.get_messages(types=[CLEARED], last=1)
        after = cleared[0].cursor if cleared else None
        window = None if most is None else max(1, min(most, _PAGE))
        while True:
            blocks = await self.history.get_messages(types=[ITEMS], after=after, last=window)
            found = [(block, place) for block in blocks for place in left_of(block)]
            if window is None or most is None or len(blocks) < window:
                return found if most is None else found[-most:]
            if len(found) >= most:
                return found[-most:]
            window *= 2

    async def _as_before(self, items: list[Any], known: list[str | None]) -> list[str | None]:
        """Items that are given again right behind their being taken back, as by who shortens a history, are in it."""
        taken, self._taken = self._taken, []
        texts = [(_text(await item_of(*one, self._read_bytes)), one) for one in taken]
        found = []
        for item, id in zip(items, known, strict=True):
            text = _text(item) if texts and id is None else None
            before = next((one for one in texts if one[0] == text), None)
            if before is not None:
                texts.remove(before)
                id = await self._id_of(*before[1])
            found.append(id)
        return found

    async def _id_of(self, block: Block, place: int) -> str | None:
        """The block that shows an item: named, or so many blocks before."""
        shown = block.data["blocks"][place]
        if not isinstance(shown, int):
            return None if shown is None else str(shown)
        before = await self.history.get_messages(before=block.cursor, last=shown)
        return next((one.id for one in before if one.index == block.index - shown), None)

    async def _shown(
        self, items: list[Any], known: list[str | None], run_id: str | None
    ) -> tuple[list[BlockDraft], list[str | int | None]]:
        """The drafts of the blocks that are missing; for each item the id of its block, or the place of its draft."""
        drafts: list[BlockDraft] = []
        shown: list[str | int | None] = []
        calls: dict[Any, BlockDraft | str] = {}
        for item, id in zip(items, known, strict=True):
            if id is not None:
                calls |= {call_id_of(item): id} if type_of(item).endswith("_call") else {}
                shown.append(id)
                continue
            for put in shown_by(item):
                drafts.append(draft := _draft(put, await self._call_of(put, calls), run_id))
                if put.type == "function_call":
                    calls[draft.data["call_id"]] = draft
            shown.append(len(drafts) - 1 if any(True for _ in shown_by(item)) else None)
        return drafts, shown

    async def _call_of(self, put: Put, calls: Mapping[Any, BlockDraft | str]) -> BlockDraft | Block | str | None:
        """The call that a result answers: one that was given with it, or the newest of that id."""
        if put.type != "function_result" or not isinstance(put.data, dict):
            return None
        call_id = put.data.get("call_id")
        if call_id in calls:
            return calls[call_id]
        recent = await self.history.get_messages(types=["function_call"], last=_CALLS)
        return next((call for call in reversed(recent) if (call.data or {}).get("call_id") == call_id), None)

    async def _read_bytes(self, part: Part) -> bytes:
        return await self.history._store.read_bytes(part)


def _draft(put: Put, parent: BlockDraft | Block | str | None, run_id: str | None) -> BlockDraft:
    data = put.data
    if isinstance(parent, (BlockDraft, Block)) and isinstance(data, dict) and isinstance(parent.data, dict):
        data = {**data, "name": parent.data.get("name")}
    return BlockDraft(
        type=put.type, role=put.role, text=put.text, data=data, parts=put.parts, parent=parent, run_id=run_id
    )


def _item(item: Any) -> Any:
    """An item as JSON: models are given as what was set of them, as the package gives them to a server."""
    if hasattr(item, "model_dump"):
        return item.model_dump(mode="json", exclude_unset=True, warnings=False)
    if not isinstance(item, dict):
        raise InvalidInput(f"an item of a session is a dict, not {type(item).__name__}")
    return item if _is_plain(item) else plain(item)


def _is_plain(item: Any) -> bool:
    if is_storable(item):
        return True
    try:
        json.dumps(item)
    except (TypeError, ValueError):
        return False
    return True


def _text(item: Any) -> str:
    return json.dumps(item, sort_keys=True)


def _settings(given: Any) -> Any:
    if not isinstance(given, Mapping):
        return given
    try:
        from agents.memory import SessionSettings
    except ImportError as error:
        raise MissingExtra("openai-agents is not installed: pip install 'chatstore[openai-agents]'") from error
    return SessionSettings(**given)
