"""What a team or an agent of AutoGen remembers, kept in the history that it wrote."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from chatstore.async_history import AsyncHistory
from chatstore.history import History
from chatstore.model import Block, BlockDraft, Tag

STATE: Final = Tag(kind="autogen", name="state")


async def save_state(team: Any, history: AsyncHistory | History) -> Block:
    """Stores what `team.save_state()` gives, as an internal block of type `state`; works for an agent as well."""
    state = dict(await team.save_state())
    draft = BlockDraft(type="state", author=getattr(team, "name", None), data=state, tags=[STATE], internal=True)
    if isinstance(history, AsyncHistory):
        return await history.append(draft)
    return await asyncio.to_thread(history.append, draft)


async def load_state(team: Any, history: AsyncHistory | History) -> bool:
    """Gives the team, or the agent, what it was when it was saved last; False where it never was.

    Several that share a history are told apart by their names.
    """
    wanted: dict[str, Any] = {"types": ["state"], "tags": [STATE], "last": 1}
    if (name := getattr(team, "name", None)) is not None:
        wanted["authors"] = [name]
    if isinstance(history, AsyncHistory):
        found = await history.get_messages(**wanted)
    else:
        found = await asyncio.to_thread(history.get_messages, **wanted)
    if not found:
        return False
    await team.load_state(found[0].data)
    return True
