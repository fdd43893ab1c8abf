"""A history as a session, beside the session that the package has on SQLite."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from agents import SQLiteSession
from agents.memory import OpenAIResponsesCompactionSession, Session, SessionSettings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recorded import Process
from scripted_agents import message, thought

from chatstore import AsyncChatStore, ChatStore, InvalidInput, to_anthropic, to_openai
from chatstore.recorders.openai_agents import ChatStoreSession

PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
LARGE = "QUJD" * 1_000
ITEMS: list[Any] = [
    {"role": "user", "content": "Hi"},
    {"role": "system", "content": "Be brief"},
    {"role": "developer", "content": [{"type": "input_text", "text": "Be kind"}]},
    message("Hello").model_dump(exclude_unset=True),
    {"role": "assistant", "content": "Hello again"},
    thought("I think", sealed="gAAA=").model_dump(exclude_unset=True),
    {"type": "reasoning", "id": "rs_x", "summary": [], "encrypted_content": "gAAB="},
    {"type": "function_call", "call_id": "c1", "name": "add", "arguments": '{"a": 1}'},
    {"type": "function_call", "call_id": "c2", "name": "add", "arguments": '{"a": '},
    {"type": "function_call_output", "call_id": "c2", "output": "2"},
    {"type": "function_call_output", "call_id": "c1", "output": [{"type": "input_text", "text": "1"}]},
    {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "cats"}},
    {
        "type": "mcp_call",
        "id": "mcp_1",
        "name": "roll",
        "arguments": "{}",
        "server_label": "dice",
        "output": "4",
        "error": None,
    },
    {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": PICTURE},
    {"type": "compaction", "id": "cmp_1", "encrypted_content": "gAAC="},
    {"type": "item_reference", "id": "msg_1"},
    {"type": "something_new", "payload": {"deep": [1, 2.5, None, True]}},
    {
        "role": "user",
        "content": [
            {"type": "input_text", "text": "What is this?"},
            {"type": "input_image", "detail": "auto", "image_url": f"data:image/png;base64,{LARGE}"},
            {"type": "input_image", "detail": "low", "image_url": "https://example.org/cat.png"},
            {"type": "input_file", "filename": "a.pdf", "file_data": f"data:application/pdf;base64,{LARGE}"},
            {"type": "input_image", "detail": "auto", "file_id": "file_1"},
            {"type": "input_audio", "input_audio": {"data": LARGE, "format": "wav"}},
        ],
    },
    {"role": "user", "content": "nul \0, half \ud83d a sign, and a number", "n": 2**70, "x": float("inf")},
    {"role": "user", "content": ""},
    {"role": "user", "content": "line\u2028separator"},
]


@pytest.fixture
def session(async_store: AsyncChatStore) -> ChatStoreSession:
    return ChatStoreSession(async_store.history("chat"))


@pytest.fixture
def oracle() -> Any:
    made = SQLiteSession("chat")
    yield made
    made.close()


def test_it_is_a_session(session: ChatStoreSession) -> None:
    assert isinstance(session, Session)
    assert session.session_id == "chat"


async def test_items_come_out_as_they_went_in(session: ChatStoreSession, oracle: Any) -> None:
    for one in (session, oracle):
        await one.add_items(ITEMS[:5])
        await one.add_items([])
        await one.add_items(ITEMS[5:])
    assert await session.get_items() == await oracle.get_items() == ITEMS
    assert json.dumps(await session.get_items()) == json.dumps(ITEMS)
    for limit in (0, 1, 2, 7, len(ITEMS), 1_000, -1):
        assert await session.get_items(limit) == await oracle.get_items(limit)


async def test_it_takes_back_as_the_other_does(session: ChatStoreSession, oracle: Any) -> None:
    for one in (session, oracle):
        await one.add_items(ITEMS)
    for _ in range(len(ITEMS) + 2):
        assert await session.pop_item() == await oracle.pop_item()
        assert await session.get_items(3) == await oracle.get_items(3)
    for one in (session, oracle):
        await one.add_items(ITEMS[:3])
        await one.clear_session()
        assert await one.get_items() == []
        assert await one.pop_item() is None
        await one.add_items(ITEMS[:2])
        assert await one.get_items() == ITEMS[:2]


CALLS = st.lists(
    st.one_of(
        st.tuples(st.just("add_items"), st.lists(st.sampled_from(ITEMS), max_size=4)),
        st.tuples(st.just("get_items"), st.sampled_from([None, 0, 1, 2, 5, 100])),
        st.tuples(st.just("pop_item"), st.none()),
        st.tuples(st.just("clear_session"), st.none()),
    ),
    max_size=25,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls=CALLS)
def test_the_same_calls_have_the_same_answers(tmp_path_factory: pytest.TempPathFactory, calls: Any) -> None:
    async def both() -> None:
        other = SQLiteSession("chat")
        async with AsyncChatStore(tmp_path_factory.mktemp("oracle") / "chat.db") as store:
            own = ChatStoreSession(store.history("chat"))
            for name, value in calls:
                values = () if name in ("pop_item", "clear_session") else (value,)
                assert await getattr(own, name)(*values) == await getattr(other, name)(*values)
            assert await own.get_items() == await other.get_items()
        other.close()

    asyncio.run(both())


async def test_what_is_given_out_may_be_changed(session: ChatStoreSession) -> None:
    await session.add_items([{"role": "user", "content": "Hi"}])
    [first] = await session.get_items()
    first["content"] = "changed"
    assert await session.get_items() == [{"role": "user", "content": "Hi"}]


async def test_every_item_is_a_block(session: ChatStoreSession) -> None:
    await session.add_items(ITEMS)
    blocks = await session.history.get_messages()
    own, blocks = blocks[-1], blocks[:-1]
    assert (own.type, own.internal) == ("session_items", True)
    found = [(block.type, block.role, block.text) for block in blocks]
    assert found[:4] == [
        ("message", "user", "Hi"),
        ("message", "system", "Be brief"),
        ("message", "developer", "Be kind"),
        ("message", "assistant", "Hello"),
    ]
    calls = {block.data["call_id"]: block for block in blocks if block.type == "function_call"}
    assert calls["c1"].data["arguments"] == {"a": 1}
    assert (calls["c2"].data["arguments"], calls["c2"].text) == (None, '{"a": ')
    results = {block.text: block for block in blocks if block.type == "function_result"}
    assert results["2"].parent_id == calls["c2"].id
    assert results["1"].parent_id == calls["c1"].id
    assert results["1"].data == {"call_id": "c1", "name": "add", "is_error": False}
    assert results["4"].parent_id == calls["mcp_1"].id
    assert ("status", "assistant", "cats") in found
    [asked] = [block for block in blocks if block.text == "What is this?"]
    assert [part.type for part in asked.parts] == ["image", "image", "file", "audio"]
    assert asked.data == {"file_ids": ["file_1"]}
    sealed = [block.data.get("encrypted_content") for block in blocks if block.type == "reasoning"]
    assert sealed == ["gAAA=", "gAAB="]


async def test_pictures_are_bytes_and_stored_once(session: ChatStoreSession, path: Path) -> None:
    await session.add_items(ITEMS)
    blocks = await session.history.get_messages()
    assert all(LARGE not in json.dumps(block.data) for block in blocks)
    digests = {part.digest for block in blocks for part in block.parts if part.size == 3 * len(LARGE) // 4}
    assert len(digests) == 1


async def test_what_is_remembered_is_a_prompt_for_providers(session: ChatStoreSession) -> None:
    await session.add_items([one for one in ITEMS[:13] if one.get("encrypted_content") is None])
    prompt = await session.history.get_messages(kind="prompt")
    assert [one["role"] for one in to_openai(prompt)][:3] == ["user", "system", "developer"]
    assert to_anthropic(prompt)
    shown = [block.text for block in await session.history.get_messages(kind="transcript")]
    assert shown[:3] == ["Hi", "Hello", "Hello again"]


async def test_a_result_finds_a_call_that_was_given_before(session: ChatStoreSession) -> None:
    for item in ITEMS[7:10]:
        await session.add_items([item])
    call = (await session.history.get_messages(types=["function_call"]))[-1]
    [result] = await session.history.get_messages(types=["function_result"])
    assert result.parent_id == call.id


async def test_nothing_that_was_taken_back_is_lost(session: ChatStoreSession) -> None:
    await session.add_items(ITEMS[:2])
    await session.pop_item()
    await session.clear_session()
    assert [block.text for block in await session.history.get_messages(types=["message"])] == ["Hi", "Be brief"]


async def test_the_settings_say_how_much_is_read(async_store: AsyncChatStore) -> None:
    history = async_store.history("chat")
    await ChatStoreSession(history).add_items(ITEMS)
    for given_settings in (SessionSettings(limit=2), {"limit": 2}):
        session = ChatStoreSession(history, session_settings=given_settings)
        assert session.session_settings == SessionSettings(limit=2)
        assert await session.get_items() == ITEMS[-2:]
        assert await session.get_items(limit=3) == ITEMS[-3:]


async def test_the_last_items_of_a_long_history_are_read_alone(session: ChatStoreSession) -> None:
    items = [{"role": "user", "content": f"{number}"} for number in range(3_000)]
    for at in range(0, len(items), 10):
        await session.add_items(items[at : at + 10])
    read: list[int] = []
    found = session.history.get_messages

    async def counted(**wanted: Any) -> Any:
        blocks = await found(**wanted)
        read.append(len(blocks))
        return blocks

    session.history.get_messages = counted  # type: ignore[method-assign]
    assert await session.get_items(20) == items[-20:]
    assert sum(read) <= 21
    assert await session.pop_item() == items[-1]
    assert sum(read) <= 23


async def test_an_add_is_whole_or_not_at_all(session: ChatStoreSession) -> None:
    with pytest.raises(InvalidInput, match="an item of a session is a dict"):
        await session.add_items([ITEMS[0], "Hi"])
    assert await session.history.count() == 0
    more = [{"role": "user", "content": f"{number}"} for number in range(1_200)]
    await session.add_items(more)
    assert await session.get_items() == more
    assert await session.get_items(700) == more[-700:]


async def test_models_of_the_client_are_items_too(session: ChatStoreSession) -> None:
    await session.add_items([message("Hello", "msg_1")])
    [item] = await session.get_items()
    assert (item["id"], item["content"][0]["text"]) == ("msg_1", "Hello")


def test_it_takes_a_history_for_event_loops(store: ChatStore) -> None:
    with pytest.raises(InvalidInput, match="history of an AsyncChatStore, not History"):
        ChatStoreSession(store.history("chat"))  # type: ignore[arg-type]


async def test_what_is_given_again_right_behind_is_no_second_block(session: ChatStoreSession) -> None:
    """As a session does that shortens what it remembers, and as the package does when it takes a try back."""
    await session.add_items(ITEMS[:5])
    await session.clear_session()
    summary = {"type": "compaction", "id": "cmp_2", "encrypted_content": "gAAD="}
    await session.add_items([ITEMS[0], ITEMS[3], summary])
    assert await session.get_items() == [ITEMS[0], ITEMS[3], summary]
    messages = [block.text for block in await session.history.get_messages(types=["message"])]
    assert messages == ["Hi", "Be brief", "Be kind", "Hello", "Hello again"]
    await session.pop_item()
    await session.pop_item()
    await session.add_items([ITEMS[3]])
    assert await session.get_items() == [ITEMS[0], ITEMS[3]]
    assert await session.history.count(types=["message"]) == 5


async def test_who_says_it_again_has_said_it_twice(session: ChatStoreSession) -> None:
    await session.add_items(ITEMS[:1])
    await session.clear_session()
    assert await session.get_items() == []  # as a run begins
    await session.add_items(ITEMS[:1])
    assert await session.history.count(types=["message"]) == 2


async def test_a_session_that_compacts_can_be_around_it(session: ChatStoreSession) -> None:
    outer = OpenAIResponsesCompactionSession("chat", session, client=None)
    await outer.add_items(ITEMS[:3])
    assert await outer.get_items() == ITEMS[:3]
    assert await outer.pop_item() == ITEMS[2]
    await outer.clear_session()
    assert await session.get_items() == []


_ADD = """
    import asyncio, sys
    from chatstore import AsyncChatStore
    from chatstore.recorders.openai_agents import ChatStoreSession

    async def main(path, name):
        async with AsyncChatStore(path) as store:
            session = ChatStoreSession(store.history("chat"))
            print("ready", flush=True)
            for number in range(40):
                await session.add_items([{"role": "user", "content": f"{name} {number}.{part}"} for part in (0, 1)])
            print("done", flush=True)

    asyncio.run(main(*sys.argv[1:]))
"""
_POP = _ADD.replace(
    'for number in range(40):\n                await session.add_items([{"role": "user", "content": f"{name} '
    '{number}.{part}"} for part in (0, 1)])',
    'while (item := await session.pop_item()) is not None:\n                print(item["content"], flush=True)',
)


async def test_two_processes_add_and_take_back_at_once(path: Path, session: ChatStoreSession) -> None:
    await session.history.head()
    with Process(_ADD, path, "a") as one, Process(_ADD, path, "b") as other:
        for process in (one, other):
            assert [await asyncio.to_thread(process.line) for _ in range(2)] == ["ready", "done"]
    said = [item["content"] for item in await session.get_items()]
    for name in "ab":
        own = [text for text in said if text.startswith(name)]
        assert own == [f"{name} {number}.{part}" for number in range(40) for part in (0, 1)]
    assert len(said) == 160
    assert all(said[at][:-1] == said[at + 1][:-1] for at in range(0, 160, 2)), "one add stands together"
    taken: list[str] = []
    with Process(_POP, path, "a") as one, Process(_POP, path, "b") as other:
        for process in (one, other):
            while (line := await asyncio.to_thread(process.line)) != "done":
                taken += [line] if line != "ready" else []
    assert sorted(taken) == sorted(said), "nothing was taken twice"
    assert await session.get_items() == []
