"""What an agent of pydantic-ai does, as its event stream tells it.

    result = await agent.run("…", capabilities=[Recorder(history)])

    async with recording(history) as handler:
        result = await agent.run("…", event_stream_handler=handler)

    async with agent.run_stream_events("…") as events:
        async for event in record(events, history, prompt="…"):
            ...

The capability sees the run itself, whatever it is run by, and how it ends. A handler sees the events of one request or
of one round of tools after the other: the `async with` says where the run ends.
Seen with pydantic-ai 2.68.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chatstore.recorders.shared.later import later

if TYPE_CHECKING:
    from chatstore.recorders.pydantic_ai.capability import PydanticAiScript, Recorder, messages, record, recording

__all__ = ["PydanticAiScript", "Recorder", "messages", "record", "recording"]

if not TYPE_CHECKING:
    __getattr__ = later(__name__, "capability", __all__)
