"""The sessions of the Claude Agent SDK in a store: its own conformance suite, and what the suite does not ask."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from claude_agent_sdk import InMemorySessionStore, fold_session_summary
from claude_agent_sdk.testing import run_session_store_conformance
from claude_frames import CALL, GIVEN, PROJECT, SESSION, assistant, entry, transcript, uid, user
from recorded import Process

from chatstore import AsyncChatStore, BlockAdded, ChatStore, ContextErased, InvalidInput, Retain, UsageError
from chatstore.recorders.claude_agent import ClaudeSessionStore

KEY = {"project_key": PROJECT, "session_id": SESSION}
SUB = {**KEY, "subpath": "subagents/agent-1"}
Made = Callable[[], Awaitable[ClaudeSessionStore]]


@pytest_asyncio.fixture
async def make(tmp_path: Path) -> AsyncIterator[Made]:
    opened: list[AsyncChatStore] = []
    numbers = count()

    async def made() -> ClaudeSessionStore:
        opened.append(AsyncChatStore(tmp_path / f"{next(numbers)}.db"))
        return ClaudeSessionStore(opened[-1])

    yield made
    for store in opened:
        await store.close()


@pytest.fixture
def sessions(async_store: AsyncChatStore) -> ClaudeSessionStore:
    return ClaudeSessionStore(async_store)


def test_a_store_for_threads_is_refused(tmp_path: Path) -> None:
    with ChatStore(tmp_path / "threads.db") as store, pytest.raises(UsageError, match="takes an AsyncChatStore"):
        ClaudeSessionStore(store)
    with pytest.raises(InvalidInput, match="takes an AsyncChatStore, not str"):
        ClaudeSessionStore("chat.db")


async def test_the_conformance_suite_of_the_sdk_passes(make: Made) -> None:
    await run_session_store_conformance(make)


async def test_entries_come_out_as_they_went_in(sessions: ClaudeSessionStore) -> None:
    odd: list[dict[str, Any]] = [
        {"type": "queue-operation", "z": 1, "a": [1.5, None, True, {"ü": "é\u0000"}]},
        {"type": "user", "uuid": "half", "message": {"role": "user", "content": "cut \ud83d"}},
        {"type": "assistant", "uuid": "half-call", "message": {"content": [{**CALL, "input": {"n": 2**70}}]}},
        {"type": "deep", "uuid": "deep", "value": json.loads("[" * 150 + "]" * 150)},
        {"type": "user", "uuid": "none", "message": {"role": "user", "content": None}},
        {"type": "assistant", "uuid": "\ud800", "message": "of another form"},
        {"type": "Other Type!", "uuid": 7, "message": {"role": "user", "content": [3, {"type": "text"}, {}]}},
    ]
    given = [*transcript(), *odd]
    await sessions.append(KEY, json.loads(json.dumps(given)))
    assert await sessions.load(KEY) == given
    assert [json.dumps(one) for one in await sessions.load(KEY) or []] == [json.dumps(one) for one in given]


async def test_each_entry_is_blocks_that_every_reader_understands(sessions: ClaudeSessionStore) -> None:
    await sessions.append(KEY, transcript())
    history = sessions.history(KEY)
    blocks = await history.get_messages()
    assert [(block.type, block.role, block.text) for block in blocks] == [
        ("message", "user", "What is the weather in Paris?"),
        ("reasoning", "assistant", "I look it up."),
        ("function_call", "assistant", '{"city": "Paris"}'),
        ("function_result", "tool", "18"),
        ("message", "assistant", "It is 18 degrees."),
        ("status", None, "Weather"),
    ]
    _, thought, call, result, _, title = blocks
    assert thought.data["signature"] == "c2ln"
    assert (call.data["name"], call.data["arguments"], call.data["call_id"]) == (
        "get_weather",
        {"city": "Paris"},
        "toolu_1",
    )
    assert result.parent_id == call.id
    assert (result.data["name"], result.data["is_error"]) == ("get_weather", False)
    assert title.internal
    assert [block.text for block in await history.get_messages(kind="transcript")] == [
        "What is the weather in Paris?",
        "It is 18 degrees.",
    ]
    assert [block.type for block in await history.get_messages(kind="prompt")] == [
        *("message", "function_call", "function_result", "message")
    ]


async def test_an_entry_of_several_contents_is_several_blocks(sessions: ClaudeSessionStore) -> None:
    pixel = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}
    both = assistant("msg_1", {"type": "text", "text": "I look."})
    both["message"]["content"].append(CALL)
    given = [entry(user([{"type": "text", "text": "See:"}, pixel])), entry(both), entry(user(GIVEN))]
    await sessions.append(KEY, given)
    blocks = await sessions.history(KEY).get_messages()
    assert [block.type for block in blocks] == ["message", "message", "function_call", "function_result"]
    assert [part.mime_type for part in blocks[0].parts] == ["image/png"]
    assert ["claude_entry" in block.data for block in blocks] == [True, True, False, True]
    assert blocks[2].data["uuid"] == given[1]["uuid"]
    assert await sessions.load(KEY) == given


async def test_what_a_message_cost_is_on_one_block(sessions: ClaudeSessionStore) -> None:
    first = entry(assistant("msg_1", {"type": "text", "text": "I look."}, input_tokens=7, output_tokens=1))
    second = entry(assistant("msg_1", CALL, input_tokens=7, output_tokens=30))
    await sessions.append(KEY, [first])
    await ClaudeSessionStore(sessions._store).append(KEY, [second, first])
    blocks = await sessions.history(KEY).get_messages()
    assert [block.usage for block in blocks] == [{"input_tokens": 7, "output_tokens": 30}, None]


async def test_a_uuid_is_stored_once_and_what_has_none_as_often_as_it_comes(sessions: ClaudeSessionStore) -> None:
    given, title = transcript()[:-1], {"type": "customTitle", "customTitle": "A"}
    await sessions.append(KEY, given)
    await sessions.append(KEY, [title, *given, title])
    await sessions.append(KEY, [{**given[0], "message": {"role": "user", "content": "another"}}])
    assert await sessions.load(KEY) == [*given, title, title]


async def test_what_subagents_do_is_internal_and_a_history_of_its_own(sessions: ClaudeSessionStore) -> None:
    await sessions.append(KEY, transcript()[:1])
    await sessions.append(SUB, transcript())
    assert all(block.internal for block in await sessions.history(SUB).get_messages())
    assert await sessions.history(SUB).get_messages(kind="transcript") == []
    assert await sessions.history(KEY).count() == 1
    assert await sessions.list_subkeys(KEY) == ["subagents/agent-1"]


async def test_what_nobody_sees_is_internal(sessions: ClaudeSessionStore) -> None:
    await sessions.append(KEY, [entry(user("hidden"), isMeta=True), entry(user("compact"), isCompactSummary=True)])
    assert await sessions.history(KEY).get_messages(kind="transcript") == []
    assert await sessions.history(KEY).count() == 2


async def test_summaries_are_those_of_the_sdk_and_those_of_old_entries_are_not_read_again(
    sessions: ClaudeSessionStore,
) -> None:
    reference = InMemorySessionStore()
    titles = [[{"type": "customTitle", "uuid": uid(str(n)), "customTitle": f"Title {n}"}] for n in range(3)]
    for batch in [transcript(), *titles]:
        await sessions.append(KEY, batch)
        await reference.append(KEY, batch)
    [ours] = await sessions.list_session_summaries(PROJECT)
    [theirs] = await reference.list_session_summaries(PROJECT)
    assert ours["data"] == theirs["data"]
    [listed] = await sessions.list_sessions(PROJECT)
    assert listed["mtime"] == ours["mtime"]
    context = await sessions.history(KEY).info()
    assert context is not None
    assert context.tags[0].value["head"] == context.head


async def test_a_summary_that_came_late_takes_nothing_back(sessions: ClaudeSessionStore) -> None:
    """Two processes append, and the tag of the one that was first is written last: the rest is folded as it is read."""
    await sessions.append(KEY, transcript())
    history = sessions.history(KEY)
    context = await history.info()
    assert context is not None
    late = context.tags[0]
    await sessions.append(KEY, [{"type": "customTitle", "customTitle": "Newer"}])
    await history.tag_context(late)
    [summary] = await sessions.list_session_summaries(PROJECT)
    expected = fold_session_summary(None, KEY, await sessions.load(KEY) or [])
    assert summary["data"] == expected["data"]
    assert summary["data"]["custom_title"] == "Newer"


async def test_summaries_go_on_where_entries_were_not_retained(path: Path) -> None:
    async with AsyncChatStore(path, retain=Retain(blocks=2)) as store:
        sessions = ClaudeSessionStore(store)
        await sessions.append(KEY, transcript())
        await store.prune()
        await sessions.append(KEY, [{"type": "customTitle", "customTitle": "Newer"}])
        await store.prune()
        [summary] = await sessions.list_session_summaries(PROJECT)
        assert summary["data"]["custom_title"] == "Newer"
        assert summary["data"]["first_prompt"] == "What is the weather in Paris?"
        assert len(await sessions.load(KEY) or []) == 2


async def test_a_deleted_session_is_erased_and_stays_so(sessions: ClaudeSessionStore, path: Path) -> None:
    await sessions.append(KEY, [entry(user("a secret of the user"))])
    await sessions.append(SUB, [entry(user("a secret of the subagent"))])
    await sessions.delete(KEY)
    await sessions.delete(KEY)
    assert await sessions.load(KEY) is None
    for key in (KEY, SUB, {**KEY, "subpath": "subagents/late"}):
        with pytest.raises(ContextErased):
            await sessions.append(key, transcript())
        assert await sessions.load(key) is None
    assert await sessions.list_subkeys(KEY) == []
    assert b"a secret of" not in path.read_bytes()


_APPEND = """
    import asyncio, sys
    from chatstore import AsyncChatStore
    from chatstore.recorders.claude_agent import ClaudeSessionStore

    async def main(path, name, most):
        async with AsyncChatStore(path) as store:
            sessions = ClaudeSessionStore(store)
            for number in range(int(most)):
                both = {"type": "x", "uuid": f"both-{number}"}
                own = {"type": "x", "uuid": f"{name}-{number}", "customTitle": f"{name} {number}"}
                await sessions.append({"project_key": "p", "session_id": "s"}, [both, own])
                print(number, flush=True)
    asyncio.run(main(*sys.argv[1:]))
"""


async def test_two_processes_append_to_one_session(path: Path, sessions: ClaudeSessionStore) -> None:
    key = {"project_key": "p", "session_id": "s"}
    with Process(_APPEND, path, "a", 25) as a, Process(_APPEND, path, "b", 25) as b:
        for process in (a, b):
            while await asyncio.to_thread(process.line) != "24":
                pass
    entries = await sessions.load(key) or []
    ids = [one["uuid"] for one in entries]
    assert sorted(ids) == sorted({f"{name}-{number}" for name in ("a", "b", "both") for number in range(25)})
    for name in "ab":
        assert [id for id in ids if id.startswith(f"{name}-")] == [f"{name}-{number}" for number in range(25)]
    [summary] = await sessions.list_session_summaries("p")
    assert summary["data"] == fold_session_summary(None, key, entries)["data"]


async def test_it_is_seen_live_and_what_was_acknowledged_survives_a_kill(
    path: Path, sessions: ClaudeSessionStore
) -> None:
    key = {"project_key": "p", "session_id": "s"}
    seen: list[str] = []
    with Process(_APPEND, path, "a", 100_000) as writer:
        async for change in sessions.history(key).subscribe(timeout=60):
            if isinstance(change, BlockAdded):
                seen.append(change.block.data["uuid"])
            if len(seen) == 20:
                break
        acknowledged = int(await asyncio.to_thread(writer.line))
        writer.kill()
    ids = [one["uuid"] for one in await sessions.load(key) or []]
    assert ids[:20] == seen
    assert {f"a-{number}" for number in range(acknowledged + 1)} <= {*ids}
    await sessions.append(key, [{"type": "x", "uuid": "after"}])
    assert ((await sessions.load(key)) or [])[-1] == {"type": "x", "uuid": "after"}
