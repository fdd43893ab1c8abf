"""A server of ChatKit, the package's own, whose threads are in a store."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chatkit import types
from chatkit.store import NotFoundError
from chatkit_things import IMAGE, Asking, ScriptedServer, answered, ask, call, said, typed
from sqlalchemy import event
from sqlalchemy.pool import Pool

from chatstore import AsyncChatStore
from chatstore.recorders.chatkit import ChatKitStore

ME, OTHER = Asking("u1"), Asking("u2")


def on(store: AsyncChatStore) -> ChatKitStore[Asking]:
    return ChatKitStore(
        store, lambda asking: {"user": asking.user}, upload_url=lambda id, _: f"https://files.invalid/{id}"
    )


def serving(store: AsyncChatStore, *script: Any) -> ScriptedServer:
    kit = on(store)
    return ScriptedServer(kit, [*script], kit)


def done(item: Any) -> Any:
    """The event that ends an item, of the thread that it is said in."""
    return lambda thread: types.ThreadItemDoneEvent(item=item.model_copy(update={"thread_id": thread.id}))


async def begin(server: ScriptedServer, text: str = "Hello") -> str:
    """Begins a thread; its id."""
    first, *_ = await ask(server, "threads.create", ME, input=typed(text))
    return str(first["thread"]["id"])


async def test_a_turn_is_in_the_history_of_its_thread(async_store: AsyncChatStore) -> None:
    def named(thread: Any) -> None:
        thread.title = "Greetings"

    server = serving(async_store, done(answered("msg_a", "Hi")), named, done(answered("msg_b", "How are you?")))
    thread = await begin(server)
    history = on(async_store).history(thread, ME)
    assert [(block.role, block.text) for block in await history.get_messages(kind="transcript")] == [
        ("user", "Hello"),
        ("assistant", "Hi"),
        ("assistant", "How are you?"),
    ]
    assert [block.text for block in await history.get_messages(types=["thread"])] == ["", "Greetings"]
    [full] = (
        await ask(server, "threads.get_by_id", ME, params={}, thread_id=thread)
        if False
        else await ask(server, "threads.get_by_id", ME, thread_id=thread)
    )
    assert full["title"] == "Greetings"
    assert [item["type"] for item in full["items"]["data"]] == [
        "user_message",
        "assistant_message",
        "assistant_message",
    ]
    [listed] = await ask(server, "threads.list", ME)
    assert [one["id"] for one in listed["data"]] == [thread]
    assert (await ask(server, "threads.list", OTHER))[0]["data"] == []
    with pytest.raises(NotFoundError):
        await ask(server, "threads.add_user_message", OTHER, thread_id=thread, input=typed("let me in"))


async def test_a_call_of_a_clients_tool_gets_its_result(async_store: AsyncChatStore) -> None:
    server = serving(async_store, done(call()))
    thread = await begin(server)
    server.script = [done(answered("msg_b", "18 degrees"))]
    await ask(server, "threads.add_client_tool_output", ME, thread_id=thread, result={"t": 18})
    blocks = await on(async_store).history(thread, ME).get_messages(kind="prompt")
    assert [(block.type, block.text) for block in blocks] == [
        ("message", "Hello"),
        ("function_call", '{"city": "Paris"}'),
        ("function_result", '{"t": 18}'),
        ("message", "18 degrees"),
    ]
    assert blocks[2].parent_id == blocks[1].id
    item = await on(async_store).load_item(thread, "tc_1", ME)
    assert (item.status, item.output) == ("completed", {"t": 18})


async def test_a_retry_removes_what_came_behind(async_store: AsyncChatStore) -> None:
    server = serving(async_store, *(done(answered(f"msg_{number}")) for number in range(30)))
    thread = await begin(server)
    [page] = await ask(server, "items.list", ME, thread_id=thread, order="asc", limit=1)
    server.script = [done(answered("msg_new", "Better"))]
    await ask(server, "threads.retry_after_item", ME, thread_id=thread, item_id=page["data"][0]["id"])
    [page] = await ask(server, "items.list", ME, thread_id=thread, order="desc")
    assert [item["id"] for item in page["data"]] == ["msg_new", page["data"][1]["id"]]
    assert page["has_more"] is False


async def test_items_are_replaced_and_removed_by_events(async_store: AsyncChatStore) -> None:
    def replaced(thread: Any) -> Any:
        again = answered("msg_a", "Hi again").model_copy(update={"thread_id": thread.id})
        return types.ThreadItemReplacedEvent(item=again)

    removed = types.ThreadItemRemovedEvent(item_id="msg_b")
    server = serving(async_store, done(answered("msg_a")), done(answered("msg_b")), replaced, removed)
    thread = await begin(server)
    [full] = await ask(server, "threads.get_by_id", ME, thread_id=thread)
    assert [item["content"][0]["text"] for item in full["items"]["data"]] == ["Hello", "Hi again"]


async def test_what_was_said_before_a_stream_was_cancelled_is_kept(async_store: AsyncChatStore) -> None:
    def partial(thread: Any) -> Any:
        return types.ThreadItemAddedEvent(item=answered("msg_a", "").model_copy(update={"thread_id": thread.id}))

    grown = types.ThreadItemUpdatedEvent(
        item_id="msg_a", update=types.AssistantMessageContentPartTextDelta(content_index=0, delta="It is 18 de")
    )
    server = serving(async_store, partial, grown, asyncio.CancelledError())
    with pytest.raises(asyncio.CancelledError):
        await begin(server)
    kit = on(async_store)
    [thread] = (await kit.load_threads(5, None, "asc", ME)).data
    user, hidden, *_ = reversed((await kit.load_thread_items(thread.id, None, 5, "desc", ME)).data)
    assert user.content[0].text == "Hello"
    assert hidden.content[0].text == "It is 18 de"
    assert [block.text for block in await kit.history(thread.id, ME).get_messages(kind="transcript")] == [
        "Hello",
        "It is 18 de",
    ]


async def test_attachments_belong_to_their_thread(async_store: AsyncChatStore) -> None:
    server = serving(async_store, done(answered("msg_a")))
    [made] = await ask(server, "attachments.create", ME, name="a.png", size=3, mime_type="image/png")
    await ask(server, "threads.create", ME, input=typed("See", attachments=[made["id"]]))
    kit = on(async_store)
    [thread] = (await kit.load_threads(5, None, "asc", ME)).data
    assert (await kit.load_attachment(made["id"], ME)).thread_id == thread.id
    [item, _] = (await kit.load_thread_items(thread.id, None, 5, "asc", ME)).data
    assert item.attachments[0].id == made["id"]
    await ask(server, "attachments.delete", ME, attachment_id=made["id"])
    with pytest.raises(NotFoundError):
        await kit.load_attachment(made["id"], ME)
    assert IMAGE.id != made["id"]


async def test_a_deleted_thread_is_gone(async_store: AsyncChatStore) -> None:
    server = serving(async_store, done(answered("msg_a")))
    thread = await begin(server)
    await ask(server, "threads.delete", ME, thread_id=thread)
    assert (await ask(server, "threads.list", ME))[0]["data"] == []
    with pytest.raises(NotFoundError):
        await ask(server, "threads.get_by_id", ME, thread_id=thread)


@pytest.fixture
def steps() -> Iterator[list[int]]:
    """Counts what SQLite does, in steps of its machine."""
    counted = [0]

    def step() -> int:
        counted[0] += 1
        return 0

    def count(connection: Any, *_: Any) -> None:
        if hasattr(connection, "run_async"):
            connection.run_async(lambda raw: raw.set_progress_handler(step, 1))

    event.listen(Pool, "checkout", count)
    yield counted
    event.remove(Pool, "checkout", count)


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_a_page_reads_itself_and_not_the_thread(
    async_store: AsyncChatStore, path: Path, order: str, steps: list[int]
) -> None:
    """As many steps for a page of a thread that is fifty times as long."""
    kit = on(async_store)
    taken: list[int] = []
    for id, count in (("thr_1", 60), ("thr_2", 3_000)):
        await kit.save_thread(types.ThreadMetadata(id=id, created_at=said("x").created_at), ME)
        await asyncio.gather(
            *(kit.add_thread_item(id, said(f"msg_{number}", thread_id=id), ME) for number in range(count))
        )
        page = await kit.load_thread_items(id, None, 20, order, ME)
        before = steps[0]
        await kit.load_thread_items(id, page.after, 20, order, ME)
        taken.append(steps[0] - before)
    assert taken[0] > 0
    assert taken[1] < 1.2 * taken[0], taken
