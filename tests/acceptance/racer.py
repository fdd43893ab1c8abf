"""A process that does one thing at the same moment as its rivals, round after round."""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import ExitStack
from typing import Any

from children import arguments, say

from chatstore import AsyncChatStore, ChatStore, ChatStoreError


def main() -> None:
    given = arguments()
    with ExitStack() as stack:
        store = stack.enter_context(ChatStore(given["path"])) if given["race"] == "context" else None
        say("ready")
        for line in sys.stdin:
            round, start = line.split()
            time.sleep(max(int(start) - time.monotonic_ns(), 0) / 1e9)
            try:
                say(_contend(given, store, int(round)))
            except ChatStoreError as error:
                say({"error": f"{type(error).__name__}: {error}"})


def _contend(given: Any, store: ChatStore | None, round: int) -> dict[str, Any]:
    text = f"{given['name']} in {round}"
    if store is not None:
        context = f"round {round}" if round % 2 else {"round": str(round), "channel": "web"}
        block = store.history(context).append_user_message(text)
        return {"context": block.context_id, "index": block.index, "id": block.id}
    path = f"{given['path']}-{round}"
    if given["face"] == "async":
        return asyncio.run(_open_async(path, text))
    with ChatStore(path) as opened:
        block = opened.history("first").append_user_message(text)
        return {"identity": opened.identity, "index": block.index, "id": block.id}


async def _open_async(path: str, text: str) -> dict[str, Any]:
    async with AsyncChatStore(path) as opened:
        block = await opened.history("first").append_user_message(text)
        return {"identity": opened.identity, "index": block.index, "id": block.id}


if __name__ == "__main__":
    main()
