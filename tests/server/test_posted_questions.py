"""What clients of AG-UI and of the AI SDK may post: every form of a message, and nothing that breaks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from http_support import Served, problem

from chatstore import AsyncHistory

POSTS = ("/agui/c", "/api/chat/c")


async def echo(history: AsyncHistory, prompt: str) -> None:
    await history.append_assistant_message(f"you said {prompt}")


def texts(client: httpx.Client) -> list[str]:
    return [block["text"] for block in client.get("/contexts/c/messages").json()["messages"]]


@pytest.mark.parametrize("target", POSTS)
@pytest.mark.parametrize(
    "said",
    [
        {"content": "hi"},
        {"parts": [{"type": "text", "text": "h"}, {"type": "file", "url": "x:y"}, {"type": "text", "text": "i"}]},
        {"content": [{"type": "text", "text": "hi"}, {"type": "binary", "data": "QQ=="}, 1, None]},
        {"content": "", "parts": [{"type": "text", "text": "hi"}], "metadata": {"any": "thing"}},
    ],
)
def test_a_question_is_taken_from_every_form_of_a_message(
    serve: Callable[..., Served], target: str, said: dict[str, Any]
) -> None:
    client = serve(agent=echo).client()
    earlier = {"id": "0", "role": "activity", "content": {"any": ["thing"]}}
    client.post(target, json={"messages": [earlier, {"id": "1", "role": "user", **said}], "threadId": "c", "tools": []})
    assert texts(client) == ["hi", "you said hi"]


@pytest.mark.slow
@pytest.mark.parametrize("target", POSTS)
@pytest.mark.parametrize(
    "messages",
    [
        5,
        ["x"],
        [{}],
        [{"role": 1}],
        [{"role": "user", "content": 5}],
        [{"role": "user", "content": {"a": 1}}],
        [{"role": "user", "parts": "x"}],
        [{"role": "user", "parts": [{"text": "x"}]}],
        [{"role": "user", "id": 1, "content": "x"}],
    ],
)
def test_what_is_no_conversation_is_refused(client: httpx.Client, target: str, messages: Any) -> None:
    problem(client.post(target, json={"messages": messages}), 422, "invalid_input")
