"""Agents on OpenAI's own client, against a local server: chat completions, whose items have no ids, and Responses."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from agents import Agent, OpenAIChatCompletionsModel, OpenAIResponsesModel
from openai import AsyncOpenAI
from scripted_agents import add, run, shapes

from chatstore import AsyncChatStore
from chatstore.recorders.openai_agents import ChatStoreSession, record

EXAMPLES = Path(__file__).parents[3] / "examples"


def _provider() -> Any:
    spec = importlib.util.spec_from_file_location("scripted_provider", EXAMPLES / "scripted_provider.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.provider


@contextmanager
def served(*streams: list[dict[str, Any]]) -> Iterator[str]:
    with _provider()(*streams, pause=0.001) as url:
        yield f"{url}/v1"


def chunk(delta: Any, finish: str | None = None, **more: Any) -> dict[str, Any]:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-5"}
    return {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}


def called(index: int, arguments: str, **more: Any) -> dict[str, Any]:
    name = {"name": "add"} if more else {}
    return chunk({"tool_calls": [{"index": index, **more, "function": {"arguments": arguments, **name}}]})


CHAT = (
    [
        chunk({"content": "Let me add. "}),
        called(0, "", id="call_1", type="function"),
        called(0, '{"a": 1,'),
        called(0, ' "b": 1}'),
        called(1, '{"a": 2, "b": 2}', id="call_2", type="function"),
        chunk({}, "tool_calls"),
    ],
    [*(chunk({"content": word}) for word in ("2 ", "and ", "4")), chunk({}, "stop")],
    [*(chunk({"content": word}) for word in ("2 ", "and ", "4")), chunk({}, "stop")],
)


async def test_items_without_ids_are_stored_once(async_store: AsyncChatStore) -> None:
    session = ChatStoreSession(async_store.history("chat"))
    with served(*CHAT) as url:
        client = AsyncOpenAI(base_url=url, api_key="none")
        made = Agent(name="adder", model=OpenAIChatCompletionsModel("gpt-5", client), tools=[add])
        for asked in ("Add", "Again"):
            async for _ in record(run(made, asked, session=session), session, strict=True):
                pass
        await client.close()
    assert shapes(await session.history.get_messages()) == [
        ("message", "closed", None, "Add"),
        ("message", "closed", "adder", "Let me add. "),
        ("function_call", "closed", "adder", '{"a": 1, "b": 1}'),
        ("function_call", "closed", "adder", '{"a": 2, "b": 2}'),
        ("function_result", "closed", "adder", "2"),
        ("function_result", "closed", "adder", "4"),
        ("message", "closed", "adder", "2 and 4"),
        ("message", "closed", None, "Again"),
        ("message", "closed", "adder", "2 and 4"),
    ]
    assert len(await session.get_items()) == 9
    assert [one.state for one in await session.history.runs()] == ["completed"] * 2


def event(type: str, **more: Any) -> dict[str, Any]:
    return {"type": type, **more}


def response(*output: Any, status: str = "in_progress") -> dict[str, Any]:
    fixed = {"id": "resp_1", "object": "response", "created_at": 1, "model": "gpt-5", "tools": [], "metadata": {}}
    tokens = {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7}
    details = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
    more = {"parallel_tool_calls": True, "tool_choice": "auto", "status": status, "usage": {**tokens, **details}}
    return {**fixed, **more, "output": [*output]}


THOUGHT = {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "gAAA="}
SEARCH = {
    "id": "ws_1",
    "type": "web_search_call",
    "status": "completed",
    "action": {"type": "search", "query": "weather"},
}
SAID = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "status": "completed",
    "content": [{"type": "output_text", "text": "Rain, 12 °C.", "annotations": [], "logprobs": []}],
}


def frames() -> list[dict[str, Any]]:
    found = [event("response.created", response=response())]
    for index, item in enumerate((THOUGHT, SEARCH, SAID)):
        begun = {**item, "content": []} if item is SAID else item
        found.append(event("response.output_item.added", output_index=index, item=begun))
        if item is SAID:
            place = {"output_index": index, "item_id": "msg_1", "content_index": 0, "logprobs": []}
            found += [event("response.output_text.delta", delta=text, **place) for text in ("Rain, ", "12 °C.")]
        found.append(event("response.output_item.done", output_index=index, item=item))
    found.append(event("response.completed", response=response(THOUGHT, SEARCH, SAID, status="completed")))
    return [{**one, "sequence_number": number} for number, one in enumerate(found)]


@pytest.mark.parametrize("turns", [1, 2])
async def test_sealed_thoughts_and_the_tools_of_a_provider(async_store: AsyncChatStore, turns: int) -> None:
    session = ChatStoreSession(async_store.history("chat"))
    with served(*[frames()] * turns) as url:
        client = AsyncOpenAI(base_url=url, api_key="none")
        made = Agent(name="weather", model=OpenAIResponsesModel("gpt-5", client))
        for _ in range(turns):
            async for _ in record(run(made, "Rain?", session=session), session, strict=True):
                pass
        await client.close()
    assert (
        shapes(await session.history.get_messages())
        == [
            ("message", "closed", None, "Rain?"),
            ("reasoning", "closed", "weather", ""),
            ("status", "closed", "weather", "weather"),
            ("message", "closed", "weather", "Rain, 12 °C."),
        ]
        * turns
    )
    items = await session.get_items()
    assert [one.get("id") for one in items] == [None, "rs_1", "ws_1", "msg_1"] * turns
    assert items[1]["encrypted_content"] == "gAAA="
    assert json.dumps(items[2]["action"]) == json.dumps(SEARCH["action"])
