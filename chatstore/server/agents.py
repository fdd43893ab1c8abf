"""The agent of a server, if it has one: started by a user's message that comes by another protocol."""

from __future__ import annotations

from chatstore import AsyncHistory
from chatstore.errors import KeyConflict
from chatstore.server.questions import Question
from chatstore.server.service import Service


async def answered(service: Service, history: AsyncHistory, question: Question | None) -> str | None:
    """Has the agent begin to answer a question, if there are both; the id of the run. One that was asked before, under
    its id, is not asked again."""
    if service.agent is None or question is None:
        return None
    key = None if question.id is None else f"asked:{question.id}"
    try:
        handle = await service.store.submit(service.agent, question.text, context=history.context_id, key=key)
    except KeyConflict:
        return None  # a client that comes back sends the same message again
    return handle.run.id
