"""A server of OpenAI ChatKit whose threads are histories. Needs no model and no network:

    pip install 'chatstore[chatkit]' && python examples/chatkit_server.py

A page of ChatKit would send the two requests; here they are sent by hand. Another user finds nothing.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from chatkit.server import ChatKitServer, StreamingResult
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageItem,
    ClientToolCallItem,
    ThreadItemDoneEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    UserMessageItem,
)

from chatstore import AsyncChatStore
from chatstore.recorders.chatkit import ChatKitStore


@dataclass
class Request:
    """What the application knows of a request: who asks."""

    user: str


class Server(ChatKitServer[Request]):
    """Asks the page for the time, and says it."""

    async def respond(
        self, thread: ThreadMetadata, input_user_message: UserMessageItem | None, context: Request
    ) -> AsyncIterator[ThreadStreamEvent]:
        """An agent would answer here; its items are stored as they are done."""
        base: dict[str, Any] = {"thread_id": thread.id, "created_at": datetime.now(UTC)}
        if input_user_message is not None:
            id = self.store.generate_item_id("tool_call", thread, context)
            yield ThreadItemDoneEvent(
                item=ClientToolCallItem(id=id, call_id="call_1", name="get_time", arguments={"zone": "CET"}, **base)
            )
        else:
            thread.title = "The time"
            id = self.store.generate_item_id("message", thread, context)
            said = [AssistantMessageContent(text="It is half past three.")]
            yield ThreadItemDoneEvent(item=AssistantMessageItem(id=id, content=said, **base))


async def ask(server: Server, user: str, type: str, **params: Any) -> list[dict[str, Any]]:
    """What a page sends, and what it gets."""
    answer = await server.process(json.dumps({"type": type, "params": params}), Request(user))
    if isinstance(answer, StreamingResult):
        return [json.loads(chunk.removeprefix(b"data: ")) async for chunk in answer]
    return [json.loads(answer.json)]


async def main(path: str = "chat.db") -> None:
    """Sends a message and the outcome of a tool, and prints what is stored."""
    async with AsyncChatStore(path) as store:
        kit: ChatKitStore[Request] = ChatKitStore(store, user=lambda request: {"user": request.user})
        server = Server(kit)
        typed = {"content": [{"type": "input_text", "text": "How late is it?"}], "attachments": []}
        first, *_ = await ask(server, "u1", "threads.create", input={**typed, "inference_options": {}})
        thread = first["thread"]["id"]
        await ask(server, "u1", "threads.add_client_tool_output", thread_id=thread, result="15:30")
        for block in await kit.history(thread, Request("u1")).get_messages():
            print(f"{block.index:3} {block.type:16} {block.role or '':10} {block.text!r}")
        for user in ("u1", "u2"):
            [page] = await ask(server, user, "threads.list")
            print(user, "has", [thread["title"] for thread in page["data"]])


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
