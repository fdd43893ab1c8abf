"""What the SDK's own `query` and client yield, with a transport that stands for Claude Code, and what is kept of it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from claude_agent_sdk import (
    AssistantMessage,
    ClaudeAgentOptions,
    ClaudeSDKClient,
    ResultMessage,
    get_session_messages_from_store,
    list_sessions_from_store,
    query,
)
from claude_frames import (
    CALL,
    INIT,
    PARTIALS,
    PROJECT,
    RESULT,
    SESSION,
    WHOLE,
    ScriptedTransport,
    assistant,
    partials,
    transcript,
    user,
    whole,
)

from chatstore import AsyncChatStore, Block, ChatStore, RunCancelled, UsageError
from chatstore.recorders.claude_agent import ClaudeScript, ClaudeSessionStore, record

PROMPT = "What is the weather in Paris?"


def shapes(blocks: list[Block]) -> list[tuple[str, str | None, str]]:
    return [(block.type, block.role, block.text) for block in blocks]


EXPECTED = [
    ("message", "user", PROMPT),
    ("status", None, "init"),
    ("reasoning", "assistant", "I look it up."),
    ("function_call", "assistant", '{"city": "Paris"}'),
    ("function_result", "tool", "18"),
    ("message", "assistant", "It is 18 degrees."),
    ("status", None, "success"),
]


@pytest.mark.parametrize("frames", [PARTIALS, WHOLE], ids=["partials", "whole"])
async def test_what_is_streamed_and_what_is_said_whole_are_one_block(
    async_store: AsyncChatStore, frames: list[Any]
) -> None:
    history = async_store.history("chat")
    plain = [one async for one in query(prompt=PROMPT, transport=ScriptedTransport(frames))]
    source = query(prompt=PROMPT, transport=ScriptedTransport(frames))
    assert [one async for one in record(source, history, prompt=PROMPT, strict=True)] == plain
    blocks = await history.get_messages()
    assert shapes(blocks) == EXPECTED
    _, _, thought, call, result, answer, last = blocks
    assert thought.data["signature"] == "c2ln"
    assert thought.data["message_id"] == "msg_1"
    assert (call.data["name"], call.data["call_id"], call.data["arguments"]) == (
        "get_weather",
        "toolu_1",
        {"city": "Paris"},
    )
    assert result.parent_id == call.id
    assert result.data == {"call_id": "toolu_1", "name": "get_weather", "is_error": False}
    assert [(tag.kind, tag.name) for tag in answer.tags] == [("answer", "final")]
    assert last.data["result"]["terminal_reason"] == "completed"
    [run] = await history.runs()
    assert run.state == "completed"
    assert run.usage == {"input_tokens": 20, "output_tokens": 9, "total_cost_usd": 0.02}
    assert [block.usage for block in blocks] == [None] * len(blocks)


async def test_the_client_is_recorded_turn_by_turn(async_store: AsyncChatStore) -> None:
    history = async_store.history("chat")
    async with ClaudeSDKClient(transport=ScriptedTransport(PARTIALS)) as client:
        await client.query(PROMPT)
        async for message in record(client.receive_response(), history, prompt=PROMPT, strict=True):
            assert message is not None
    assert shapes(await history.get_messages()) == EXPECTED
    assert [run.state for run in await history.runs()] == ["completed"]


async def test_a_prompt_that_is_said_once_more_is_stored_once(async_store: AsyncChatStore) -> None:
    history = async_store.history("chat")
    transport = ScriptedTransport([INIT, user(PROMPT), user("and more"), *WHOLE[1:]])
    async for _ in record(query(prompt=PROMPT, transport=transport), history, prompt=PROMPT, strict=True):
        pass
    assert [block.text for block in await history.get_messages(roles=["user"])] == [PROMPT, "and more"]


async def test_what_subagents_do_is_internal_below_the_call_that_asked(async_store: AsyncChatStore) -> None:
    history = async_store.history("chat")
    task = {"type": "tool_use", "id": "toolu_t", "name": "Task", "input": {"subagent_type": "looker", "prompt": "Look"}}
    inner = {"type": "tool_use", "id": "toolu_i", "name": "Read", "input": {}}
    frames = [
        assistant("msg_1", task),
        user([{"type": "text", "text": "Look"}], "toolu_t"),
        assistant("msg_s", {"type": "text", "text": "I read it."}, "toolu_t"),
        assistant("msg_s", inner, "toolu_t"),
        user([{"type": "tool_result", "tool_use_id": "toolu_i", "content": "no", "is_error": True}], "toolu_t"),
        user([{"type": "tool_result", "tool_use_id": "toolu_t", "content": [{"type": "text", "text": "found"}]}]),
        assistant("msg_2", {"type": "text", "text": "It is there."}),
        {**RESULT, "result": "It is there."},
    ]
    async for _ in record(query(prompt="Go", transport=ScriptedTransport(frames)), history, strict=True):
        pass
    blocks = await history.get_messages()
    call = blocks[0]
    assert [(block.type, block.text, block.internal, block.author) for block in blocks[1:6]] == [
        ("message", "Look", True, None),
        ("message", "I read it.", True, "looker"),
        ("function_call", "{}", True, "looker"),
        ("function_result", "no", True, "looker"),
        ("function_result", "found", False, None),
    ]
    assert [block.parent_id for block in blocks[1:6]] == [call.id, call.id, call.id, blocks[3].id, call.id]
    assert blocks[4].data["is_error"] is True
    assert [block.text for block in await history.get_messages(kind="transcript")] == ["It is there."]


async def test_a_result_that_is_an_error_fails_the_run(async_store: AsyncChatStore) -> None:
    history = async_store.history("chat")
    failed = {**RESULT, "subtype": "error_max_turns", "is_error": True, "result": None, "errors": ["too many turns"]}
    got = []
    source = query(prompt="Go", transport=ScriptedTransport([*PARTIALS[:-1], failed]))
    async for message in record(source, history, strict=True):
        got.append(message)
    assert isinstance(got[-1], ResultMessage)
    [run] = await history.runs()
    assert run.state == "failed"
    assert run.error is not None
    assert run.error.message == "error_max_turns: too many turns"
    assert run.usage["input_tokens"] == 20


async def test_text_of_a_result_that_no_message_said_is_the_answer(async_store: AsyncChatStore) -> None:
    history = async_store.history("chat")
    async for _ in record(query(prompt="/x", transport=ScriptedTransport([INIT, RESULT])), history, strict=True):
        pass
    assert [block.text for block in await history.get_messages(kind="transcript")] == ["It is 18 degrees."]


async def test_who_cancels_the_run_ends_the_query(async_store: AsyncChatStore) -> None:
    history = async_store.history("chat")
    cancelled = asyncio.Event()
    transport = ScriptedTransport([*PARTIALS[:19], cancelled, *PARTIALS[19:], asyncio.Event()])
    recording = record(query(prompt="Go", transport=transport), history)
    with pytest.raises(RunCancelled):
        async for message in recording:
            if getattr(message, "event", {}).get("delta", {}).get("text") == "It is ":
                await history.cancel_run(recording.run_id)
                cancelled.set()
    await asyncio.wait_for(transport.closed.wait(), 30)  # its own generators end as they are collected
    last = (await history.get_messages())[-1]
    assert (last.state, last.text) == ("cancelled", "It is ")


async def test_sessions_and_the_tap_keep_apart(async_store: AsyncChatStore, tmp_path: Path) -> None:
    """Both at once: the SDK mirrors the session into its history, and people watch another one."""
    sessions, watched = ClaudeSessionStore(async_store), async_store.history("watched")
    options = ClaudeAgentOptions(session_store=sessions, env={"CLAUDE_CONFIG_DIR": str(tmp_path)})
    entries = transcript()
    frames: list[Any] = [INIT, entries[:2], *PARTIALS[1:-1], entries[2:], RESULT]
    source = query(prompt=PROMPT, options=options, transport=ScriptedTransport(frames, tmp_path))
    async for _ in record(source, watched, prompt=PROMPT, strict=True):
        pass
    key = {"project_key": PROJECT, "session_id": SESSION}
    assert await sessions.load(key) == entries
    assert [block.text for block in await watched.get_messages(kind="transcript")] == [PROMPT, "It is 18 degrees."]
    [listed] = await list_sessions_from_store(sessions, directory="/work/app")
    assert (listed.session_id, listed.first_prompt) == (SESSION, PROMPT)
    messages = await get_session_messages_from_store(sessions, SESSION, directory="/work/app")
    assert [message.uuid for message in messages][:1] == [entries[0]["uuid"]]


@pytest.mark.parametrize("named", ["by key", "by id"])
async def test_a_sessions_history_is_not_recorded_into(async_store: AsyncChatStore, named: str) -> None:
    sessions = ClaudeSessionStore(async_store)
    key = {"project_key": PROJECT, "session_id": SESSION}
    await sessions.append(key, transcript())
    history = sessions.history(key)
    if named == "by id":
        history = async_store.history(history.context_id)
    before = await history.count()
    with pytest.raises(UsageError, match="a ClaudeSessionStore writes this history"):
        async for _ in record(query(prompt=PROMPT, transport=ScriptedTransport(PARTIALS)), history, prompt=PROMPT):
            pass
    assert await history.count() == before
    assert await history.runs() == []


async def test_the_stream_of_a_recording_that_is_refused_is_closed(async_store: AsyncChatStore) -> None:
    closed: list[bool] = []

    class Stream:
        def __aiter__(self) -> Stream:
            return self

        async def __anext__(self) -> None:
            raise AssertionError("nothing is asked for")

        async def aclose(self) -> None:
            closed.append(True)

    sessions = ClaudeSessionStore(async_store)
    key = {"project_key": PROJECT, "session_id": SESSION}
    await sessions.append(key, transcript())
    with pytest.raises(UsageError, match="a ClaudeSessionStore writes this history"):
        await anext(record(Stream(), sessions.history(key), prompt=PROMPT))
    assert closed[:1] == [True]


async def test_threads_do_not_record_into_a_sessions_history_either(async_store: AsyncChatStore, path: Path) -> None:
    sessions = ClaudeSessionStore(async_store)
    key = {"project_key": PROJECT, "session_id": SESSION}
    await sessions.append(key, transcript())
    with ChatStore(path) as store:
        history = store.history(sessions.history(key).context_id)
        before = history.count()
        with pytest.raises(UsageError, match="a ClaudeSessionStore writes this history"):
            list(record([], history, prompt=PROMPT))
        assert (history.count(), history.runs()) == (before, [])


FIELDS = ["uuid", "message_id", "model", "parent_tool_use_id", "usage", "session_id", "subtype", "result", "errors"]
FIELDS += ["content", "event", "data", "is_error", "tool_use_id", "id", "name", "input", "signature", "text"]


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("made", [partials, whole])
def test_messages_without_a_field_are_read(made: Any, field: str) -> None:
    """As of a version that does not have it; and what is said is said all the same."""
    script = ClaudeScript()
    for message in made():
        for one in [message, *(message.content if isinstance(getattr(message, "content", None), list) else ())]:
            vars(one).pop(field, None)
        assert isinstance([*script.read(message)], list)
    assert script.complete


def test_messages_of_newer_versions_are_passed_by() -> None:
    newer = type("NewMessage", (), {"subtype": None})()
    assert [*ClaudeScript().read(newer)] == []
    assert [*ClaudeScript().read(AssistantMessage(content=[newer], model="m"))] != []
    assert CALL["name"]
