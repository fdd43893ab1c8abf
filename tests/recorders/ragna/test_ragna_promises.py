"""What every recorder promises, of messages that real assistants of Ragna answer with."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from other_processes import run as run_elsewhere
from ragna_chats import PIECES, InTheLoop, Threaded, answering
from recorded import CONTEXT, Process, ended, follower, shapes

from chatstore import AsyncChatStore, BlockAdded, BlockClosed, ChatStore, RunCancelled, TextAppended
from chatstore.recorders.ragna import record

HERE = Path(__file__).parent
EXAMPLE = Path(__file__).parents[3] / "examples" / "record_ragna.py"
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")

_WRITE = """
    import asyncio, sys, warnings
    from pathlib import Path
    warnings.simplefilter("ignore")
    from ragna_chats import Assistant, answering
    from chatstore import AsyncChatStore
    from chatstore.recorders.ragna import record

    class Hanging(Assistant):
        async def answer(self, prompt, sources):
            yield "half "
            yield "of it"
            await asyncio.Event().wait()

    async def main():
        async with AsyncChatStore(sys.argv[1]) as store:
            async with answering(Path(sys.argv[2]), Hanging) as message:
                async for piece in record(message, store.history("chat"), prompt="hi"):
                    pass
    asyncio.run(main())
"""


@pytest.mark.parametrize("assistant", [Threaded, InTheLoop])
async def test_r8_pieces_are_the_same_as_without_the_recorder(
    async_store: AsyncChatStore, tmp_path: Path, assistant: type[Threaded]
) -> None:
    async with answering(tmp_path, assistant) as message:
        expected = [piece async for piece in message]
    async with answering(tmp_path, assistant) as message:
        given = [piece async for piece in record(message, async_store.history(CONTEXT), strict=True)]
    assert given == expected == [*PIECES]


async def test_r1_another_process_follows_piece_by_piece(
    path: Path, async_store: AsyncChatStore, tmp_path: Path
) -> None:
    history, text = async_store.history(CONTEXT), ""
    await history.append_status_message("begins")
    with await asyncio.to_thread(follower, path) as other:
        async with answering(tmp_path, InTheLoop) as message:
            async for piece in record(message, history, strict=True):
                text += piece
                await asyncio.to_thread(other.reads, text)
    assert text == "".join(PIECES)


def test_r1_a_worker_that_is_killed_leaves_what_it_wrote_and_whoever_waits_is_told(path: Path, tmp_path: Path) -> None:
    with ChatStore(path) as store:
        history = store.history(CONTEXT)
        history.append_status_message("begins")
        with follower(path) as other, Process(_WRITE, path, tmp_path, path=HERE) as worker:
            other.reads("half of it")
            worker.kill()
        run = ended(store)
        assert run.state == "interrupted"
        assert shapes(history.get_messages(run=run.id)) == [
            ("message", "closed", "hi"),
            ("message", "interrupted", "half of it"),
        ]


async def test_another_process_cancels_the_answer(path: Path, async_store: AsyncChatStore, tmp_path: Path) -> None:
    history = async_store.history(CONTEXT)
    async with answering(tmp_path, InTheLoop) as message:
        pieces = record(message, history)
        assert await anext(pieces) == PIECES[0]
        cancel = """
            import sys
            from chatstore import ChatStore
            with ChatStore(sys.argv[1]) as store:
                store.history("chat").cancel_run(sys.argv[2])
            """
        await asyncio.to_thread(run_elsewhere, cancel, path, pieces.run_id)
        with pytest.raises(RunCancelled):
            async for _ in pieces:
                pass
    assert [run.state for run in await history.runs()] == ["cancelled"]
    assert shapes(await history.get_messages()) == [("message", "cancelled", PIECES[0])]


async def test_r2_r5_r6_the_first_change_has_the_sources_and_the_last_the_whole_text(
    async_store: AsyncChatStore, tmp_path: Path
) -> None:
    history = async_store.history(CONTEXT)
    async with answering(tmp_path, InTheLoop) as message:
        recording = record(message, history, author="ragna")
        changes = history.subscribe(run=recording.run_id, timeout=30)
        seen = [await anext(changes)] if await anext(recording) else []
        seen += [await anext(changes)]
        assert [piece async for piece in recording] == [*PIECES[1:]]
        seen += [change async for change in changes]
    [added] = [change for change in seen if isinstance(change, BlockAdded)]
    [closed] = [change for change in seen if isinstance(change, BlockClosed)]
    assert added.block.data["sources"][0]["document"]["name"] == "doc.txt"
    text = added.block.text
    for change in seen:
        if isinstance(change, TextAppended):
            text = text[: change.offset] + change.text
    assert closed.block.text.startswith(text)
    assert closed.block.text == "".join(PIECES)
    header = ("role", "author", "data", "created_at", "id")
    assert [getattr(added.block, name) for name in header] == [getattr(closed.block, name) for name in header]


async def test_r3_a_message_is_read_again_and_by_several_where_ragnas_is_spent(
    async_store: AsyncChatStore, tmp_path: Path
) -> None:
    async with answering(tmp_path, InTheLoop) as message:
        async for _ in message:
            break
        assert [piece async for piece in message] == [*PIECES[1:]]  # and what it says is that alone
        assert message.content == "".join(PIECES[1:])
    history = async_store.history(CONTEXT)
    async with answering(tmp_path, InTheLoop) as message:
        assert [piece async for piece in record(message, history)]
    [block] = await history.get_messages()
    one, other = await history.read_block(block), await history.read_block(block)
    async for _ in one:
        break
    assert "".join([piece async for piece in one]) in ("", block.text)
    assert "".join([piece async for piece in other]) == block.text == "".join(PIECES)


def test_the_example_runs(path: Path) -> None:
    done = subprocess.run([sys.executable, EXAMPLE, path], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "pieces: ['As ragna.txt says, ', 'it is a framework ', 'for retrieval.']",
        "  0 message user              What is Ragna?",
        "  1 message assistant  ragna  As ragna.txt says, it is a framework for retrieval.",
        "     from ragna.txt (15 tokens)",
        "the run is completed",
    ]
