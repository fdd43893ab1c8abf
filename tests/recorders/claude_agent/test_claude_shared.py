"""What holds for every recorder, of the messages of the Claude Agent SDK."""

from __future__ import annotations

from pathlib import Path

from claude_frames import PARTIALS
from recorded import CONTEXT, Process, ended, follower
from recorder_promises import RecorderPromises, StreamPromises, Subject

from chatstore import ChatStore
from chatstore.recorders.claude_agent import record

BEGUN = 19
_WRITE = """
    import asyncio, sys
    from claude_agent_sdk import query
    from claude_frames import PARTIALS, ScriptedTransport
    from chatstore import AsyncChatStore
    from chatstore.recorders.claude_agent import record

    async def main(path, begun):
        stuck = asyncio.Event()
        async with AsyncChatStore(path) as store:
            transport = ScriptedTransport([*PARTIALS[:int(begun)], stuck])
            async for message in record(query(prompt="Go", transport=transport), store.history("chat")):
                pass
    asyncio.run(main(*sys.argv[1:]))
"""


class TestStreamed(RecorderPromises):
    subject = Subject("claude_frames:partials", begun=BEGUN, partial="It is ", record=record)

    def test_another_process_follows_and_a_killed_writer_leaves_an_interrupted_run(self, face: str, path: Path) -> None:
        """By the SDK's own `query`, which is asynchronous."""
        assert len(PARTIALS) > BEGUN
        with ChatStore(path) as store:
            with follower(path) as reader, Process(_WRITE, path, BEGUN, path=Path(__file__).parent) as writer:
                reader.reads("It is ")
                writer.kill()
            assert ended(store).state == "interrupted"
            last = store.history(CONTEXT).get_messages()[-1]
            assert (last.state, last.text) == ("interrupted", "It is ")


class TestWhole(StreamPromises):
    subject = Subject("claude_frames:whole", begun=3, partial='{"city": "Paris"}', record=record)
