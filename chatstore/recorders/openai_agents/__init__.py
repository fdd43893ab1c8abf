"""OpenAI's Agents SDK: its sessions on a history, and the events of its runs.

    session = ChatStoreSession(store.history("support-42"))
    result = Runner.run_streamed(agent, "Hi", session=session)
    async for event in record(result, session):
        ...

Seen with openai-agents 0.24. Each does without the other; both together store every item once.
"""

from __future__ import annotations

from chatstore.recorders.openai_agents.events import record
from chatstore.recorders.openai_agents.script import AgentsScript
from chatstore.recorders.openai_agents.session import ChatStoreSession

__all__ = ["AgentsScript", "ChatStoreSession", "record"]
