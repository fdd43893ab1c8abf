"""A process that writes recorded streams at their pace, all at once: the timed ones on an event loop, others by
threads."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

from chatstore import AsyncChatStore, AsyncHistory, BlockWriter, ChatStore, History
from growing.processes import arguments, say
from growing.streams import Piece, Stream, streams

OPTIONS = {
    "message": {"role": "assistant"},
    "reasoning": {"role": "assistant"},
    "function_call": {"role": "assistant", "data": {"name": "recorded", "arguments": None, "call_id": "call"}},
}


def context(number: int, contexts: int) -> str:
    """The context that a stream is written into; neighbours of one file share few."""
    return f"streams {number % contexts}"


def write(history: History, stream: Stream, begun: float) -> None:
    """One stream by a thread: its blocks are open side by side until it ends."""
    blocks: dict[str, BlockWriter] = {}
    for piece in stream.pieces:
        time.sleep(max(begun + piece.at - time.monotonic(), 0))
        if piece.type not in blocks:
            blocks[piece.type] = history.open_block(piece.type, **_options(stream, piece))
        blocks[piece.type].write(piece.text)
    for block in blocks.values():
        block.close()


async def write_async(history: AsyncHistory, stream: Stream, begun: float) -> None:
    """The same on an event loop."""
    blocks: dict[str, Any] = {}
    for piece in stream.pieces:
        await asyncio.sleep(max(begun + piece.at - time.monotonic(), 0))
        if piece.type not in blocks:
            blocks[piece.type] = await history.open_block(piece.type, **_options(stream, piece))
        await blocks[piece.type].write(piece.text)
    for block in blocks.values():
        await block.close()


def _options(stream: Stream, piece: Piece) -> Any:
    return {**OPTIONS[piece.type], "author": stream.name}


async def _write_timed(path: str, mine: list[tuple[str, Stream]], begun: float) -> None:
    async with AsyncChatStore(path) as store, asyncio.TaskGroup() as group:
        for context_id, stream in mine:
            group.create_task(write_async(store.history(context_id), stream, begun))


def main() -> None:
    given = arguments()
    placed = [(context(number, given["contexts"]), stream) for number, stream in enumerate(streams(given["longest"]))]
    begun = time.monotonic()
    with ChatStore(given["path"]) as store:
        say("ready")
        threads = [
            threading.Thread(target=write, args=(store.history(context_id), stream, begun))
            for context_id, stream in placed
            if not stream.timed
        ]
        for thread in threads:
            thread.start()
        asyncio.run(_write_timed(given["path"], [one for one in placed if one[1].timed], begun))
        for thread in threads:
            thread.join()
    say(time.monotonic() - begun)


if __name__ == "__main__":
    main()
