"""What agents and teams of AutoGen do, as `run_stream` and `on_messages_stream` yield it.

    async for event in record(team.run_stream(task="…"), history, shown=["writer"]):
        ...

Seen with autogen-agentchat 0.7.5. A chunk names the message that it will be part of by that message's id; what the
model of a selector says, and that of an agent for code, names none.
"""

from __future__ import annotations

from chatstore.recorders.autogen.script import AutogenScript, record
from chatstore.recorders.autogen.state import load_state, save_state

__all__ = ["AutogenScript", "load_state", "record", "save_state"]
