"""What an application does by mistake with ChatKit's `Store`: it is refused, and nothing is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from chatkit_things import Asking, answered, metadata, said

from chatstore import AsyncChatStore, ChatStore, InvalidInput, KeyConflict, UsageError
from chatstore.recorders.chatkit import ChatKitStore

ME = Asking("u1")


@pytest.fixture
def kit(async_store: AsyncChatStore) -> ChatKitStore[Asking]:
    return ChatKitStore(async_store, lambda asking: {"user": asking.user})


def test_a_store_for_threads_is_refused(tmp_path: Path) -> None:
    with ChatStore(tmp_path / "threads.db") as store, pytest.raises(UsageError, match="takes an AsyncChatStore"):
        ChatKitStore(store, lambda _: {"user": "u1"})
    with pytest.raises(InvalidInput, match="takes an AsyncChatStore, not str"):
        ChatKitStore("chat.db", lambda _: {"user": "u1"})


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_a_page_of_nothing_is_the_last(kit: ChatKitStore[Asking], order: str) -> None:
    await kit.save_thread(metadata(), ME)
    await kit.add_thread_item("thr_1", said("msg_1"), ME)
    pages = [await kit.load_thread_items("thr_1", None, 0, order, ME), await kit.load_threads(0, None, order, ME)]
    assert [(page.data, page.has_more, page.after) for page in pages] == [([], False, None)] * 2


@pytest.mark.parametrize(("limit", "order"), [(-1, "asc"), (None, "asc"), (3, "sideways"), (3, "")])
async def test_pages_that_nobody_can_turn_are_refused(kit: ChatKitStore[Asking], limit: Any, order: str) -> None:
    await kit.save_thread(metadata(), ME)
    with pytest.raises(InvalidInput, match=r"limit=|order="):
        await kit.load_thread_items("thr_1", None, limit, order, ME)
    with pytest.raises(InvalidInput, match=r"limit=|order="):
        await kit.load_threads(limit, None, order, ME)


async def test_an_item_of_another_thread_is_refused(kit: ChatKitStore[Asking]) -> None:
    await kit.save_thread(metadata(), ME)
    strange = said("msg_1", thread_id="thr_2")
    for store in (kit.add_thread_item, kit.save_item):
        with pytest.raises(InvalidInput, match="is of thread thr_2"):
            await store("thr_1", strange, ME)
    assert (await kit.load_thread_items("thr_1", None, 5, "asc", ME)).data == []


async def test_adding_does_not_replace(kit: ChatKitStore[Asking]) -> None:
    await kit.save_thread(metadata(), ME)
    await kit.add_thread_item("thr_1", answered("msg_1", "one"), ME)
    with pytest.raises(KeyConflict, match="save_item replaces it"):
        await kit.add_thread_item("thr_1", answered("msg_1", "two"), ME)
    assert await kit.load_item("thr_1", "msg_1", ME) == answered("msg_1", "one")
    await kit.save_item("thr_1", answered("msg_1", "two"), ME)
    for same in ("one", "two"):  # what was added, once more; and what it became
        await kit.add_thread_item("thr_1", answered("msg_1", same), ME)
    with pytest.raises(KeyConflict):
        await kit.add_thread_item("thr_1", answered("msg_1", "three"), ME)
    page = await kit.load_thread_items("thr_1", None, 5, "asc", ME)
    assert page.data == [answered("msg_1", "two")]


@pytest.mark.parametrize("keys", [None, "a", {}, [("user", "a")], {"user": None}, {"user": 1}, {1: "a"}])
async def test_who_asks_has_to_be_said(async_store: AsyncChatStore, keys: Any) -> None:
    kit = ChatKitStore(async_store, lambda _: keys)
    for asked in (
        lambda: kit.save_thread(metadata(), ME),
        lambda: kit.load_thread("thr_1", ME),
        lambda: kit.load_threads(5, None, "asc", ME),
        lambda: kit.load_threads(5, "thr_1", "asc", ME),
        lambda: kit.load_thread_items("thr_1", None, 5, "asc", ME),
        lambda: kit.add_thread_item("thr_1", said("msg_1"), ME),
        lambda: kit.delete_thread("thr_1", ME),
        lambda: kit.load_attachment("atc_1", ME),
    ):
        with pytest.raises(InvalidInput, match="user= of a ChatKitStore gives the context keys of who asks"):
            await asked()
    assert await async_store.contexts() == []
