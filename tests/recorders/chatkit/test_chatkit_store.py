"""ChatKit's `Store` on histories: every method of it, and what of a thread readers of the history see."""

from __future__ import annotations

import asyncio
import inspect
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from chatkit.store import AttachmentStore, NotFoundError, Store
from chatkit.types import AttachmentCreateParams, ClosedStatus, Thread
from chatkit_things import FILE, IMAGE, Asking, answered, call, every, metadata, said
from recorded import Process

from chatstore import AsyncChatStore, BlockAdded, BlockUpdated, InvalidData, UsageError
from chatstore.recorders.chatkit import ChatKitStore

pytestmark = pytest.mark.filterwarnings("ignore:Direct usage of named widget classes")  # ChatKit's own, as it reads
ME, OTHER = Asking("u1"), Asking("u2")


def on(store: AsyncChatStore, **options: Any) -> ChatKitStore[Asking]:
    return ChatKitStore(store, lambda asking: {"user": asking.user}, **options)


@pytest.fixture
def kit(async_store: AsyncChatStore) -> ChatKitStore[Asking]:
    return on(async_store)


async def ids(kit: ChatKitStore[Asking], thread: str = "thr_1", size: int = 3, order: str = "asc") -> list[str]:
    """The ids of all items, read page after page."""
    found: list[str] = []
    after = None
    while True:
        page = await kit.load_thread_items(thread, after, size, order, ME)
        assert len(page.data) <= size
        found += [item.id for item in page.data]
        if not page.has_more:
            assert page.after is None
            return found
        assert page.after == found[-1]
        after = page.after


def test_every_method_of_the_protocol_is_there() -> None:
    for base in (Store, AttachmentStore):
        for name in base.__abstractmethods__:
            ours, theirs = inspect.signature(getattr(ChatKitStore, name)), inspect.signature(getattr(base, name))
            assert [*ours.parameters] == [*theirs.parameters]


async def test_every_item_comes_out_as_it_went_in(kit: ChatKitStore[Asking]) -> None:
    await kit.save_thread(metadata(), ME)
    given = every()
    for item in given:
        await kit.add_thread_item("thr_1", item, ME)
    page = await kit.load_thread_items("thr_1", None, 100, "asc", ME)
    assert page.data == given
    assert [type(one) for one in page.data] == [type(one) for one in given]
    assert [one.model_dump_json() for one in page.data] == [one.model_dump_json() for one in given]
    for item in given:
        assert await kit.load_item("thr_1", item.id, ME) == item


async def test_every_item_is_a_block_that_every_reader_understands(kit: ChatKitStore[Asking]) -> None:
    await kit.save_thread(metadata(title="Weather"), ME)
    for item in every()[:15]:
        await kit.add_thread_item("thr_1", item, ME)
    history = kit.history("thr_1", ME)
    blocks = await history.get_messages()
    assert [(block.type, block.role, block.text, block.internal) for block in blocks] == [
        ("thread", None, "Weather", True),
        ("message", "user", "See @x", False),
        ("message", "assistant", "One\n\nTwo", False),
        ("function_call", "assistant", '{"city": "Paris"}', False),
        ("function_call", "assistant", '{"city": "Paris"}', False),
        ("function_result", "tool", '{"t": [18, null]}', False),
        ("widget", "assistant", "18 °C", False),
        ("widget", "assistant", "", False),
        ("image", "assistant", "", False),
        ("image", "assistant", "", False),
        ("input_request", "assistant", "Which?", False),
        ("task", "assistant", "on it", False),
        ("reasoning", "assistant", "It may rain.\nSearch", False),
        ("workflow", "assistant", "Search", False),
        ("message", "developer", '{"any": [1, null, "é"]}', True),
        ("message", "developer", "hidden", True),
        ("status", None, "end_of_turn", True),
    ]
    assert blocks[5].parent_id == blocks[4].id
    assert (blocks[3].data["name"], blocks[3].data["arguments"]) == ("get_weather", {"city": "Paris"})
    assert [part.url for part in blocks[1].parts] == ["https://files.invalid/a.png"]
    assert [block.text for block in await history.get_messages(kind="transcript")] == ["See @x", "One\n\nTwo"]


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("size", [1, 2, 7, 30])
async def test_pages_in_both_orders(kit: ChatKitStore[Asking], order: str, size: int) -> None:
    await kit.save_thread(metadata(), ME)
    expected = [f"msg_{number:03}" for number in range(45)]
    for id in expected:
        await kit.add_thread_item("thr_1", said(id), ME)
    removed = {"msg_000", *(f"msg_{number:03}" for number in range(20, 44))}
    for id in removed:
        await kit.delete_thread_item("thr_1", id, ME)
    left = [id for id in expected if id not in removed]
    assert await ids(kit, size=size, order=order) == (left if order == "asc" else left[::-1])


async def test_an_item_that_is_saved_again_is_replaced_at_its_place(kit: ChatKitStore[Asking]) -> None:
    await kit.save_thread(metadata(), ME)
    for item in (said("msg_1"), call(), answered("msg_2")):
        await kit.add_thread_item("thr_1", item, ME)
    done = call(status="completed", output="18")
    await kit.save_item("thr_1", done, ME)
    await kit.save_item("thr_1", answered("msg_2", "Hi again"), ME)
    await kit.save_item("thr_1", answered("msg_3", "New"), ME)
    for _ in range(2):
        page = await kit.load_thread_items("thr_1", None, 10, "asc", ME)
        assert page.data == [said("msg_1"), done, answered("msg_2", "Hi again"), answered("msg_3", "New")]
        await kit.save_item("thr_1", done, ME)
    blocks = await kit.history("thr_1", ME).get_messages()
    called, result = next(b for b in blocks if b.type == "function_call"), blocks[4]
    assert (result.type, result.text, result.parent_id) == ("function_result", "18", called.id)
    assert sum(block.type == "function_result" for block in blocks) == 1


async def test_nothing_of_the_log_is_changed(kit: ChatKitStore[Asking]) -> None:
    """What was said before it was replaced or removed is there, and says that it was."""
    await kit.save_thread(metadata(), ME)
    await kit.add_thread_item("thr_1", answered("msg_1", "first"), ME)
    await kit.save_item("thr_1", answered("msg_1", "second"), ME)
    await kit.delete_thread_item("thr_1", "msg_1", ME)
    first, second = await kit.history("thr_1", ME).get_messages(types=["message"])
    assert (first.text, second.text, second.parent_id) == ("first", "second", first.id)
    assert {(tag.name, tag.value) for tag in first.tags if tag.kind == "chatkit"} == {
        *(("item", None), ("changed", True), ("removed", True))
    }


async def test_an_item_that_was_removed_is_not_found_and_can_come_again(kit: ChatKitStore[Asking]) -> None:
    await kit.save_thread(metadata(), ME)
    for id in ("msg_1", "msg_2"):
        await kit.add_thread_item("thr_1", said(id), ME)
    await kit.delete_thread_item("thr_1", "msg_1", ME)
    await kit.delete_thread_item("thr_1", "msg_1", ME)
    await kit.delete_thread_item("thr_1", "never", ME)
    with pytest.raises(NotFoundError):
        await kit.load_item("thr_1", "msg_1", ME)
    assert (await kit.load_thread_items("thr_1", "msg_1", 10, "asc", ME)).data == [said("msg_2")]
    for again in (said("msg_1"), said("msg_1", "other")):
        await kit.add_thread_item("thr_1", again, ME)
        assert await kit.load_item("thr_1", "msg_1", ME) == again
        assert await ids(kit) == ["msg_1", "msg_2"]
        await kit.delete_thread_item("thr_1", "msg_1", ME)
    await kit.save_item("thr_1", said("msg_1", "saved"), ME)
    assert await kit.load_item("thr_1", "msg_1", ME) == said("msg_1", "saved")


async def test_adding_twice_stores_once(kit: ChatKitStore[Asking]) -> None:
    await kit.save_thread(metadata(), ME)
    await asyncio.gather(*(kit.add_thread_item("thr_1", said("msg_1"), ME) for _ in range(5)))
    assert await ids(kit) == ["msg_1"]


async def test_threads_are_listed_in_the_order_they_were_made(kit: ChatKitStore[Asking]) -> None:
    names = [f"thr_{number}" for number in range(7)]
    for name in names:
        await kit.save_thread(metadata(name), ME)
    await kit.save_thread(metadata("thr_2", title="Later", status=ClosedStatus(reason="done"), metadata={"a": 1}), ME)
    await kit.delete_thread("thr_3", ME)
    names.remove("thr_3")
    for order, expected in (("asc", names), ("desc", names[::-1])):
        for size in (1, 2, 3, 10):
            found: list[str] = []
            after = None
            while True:
                page = await kit.load_threads(size, after, order, ME)
                found += [thread.id for thread in page.data]
                if not page.has_more:
                    break
                after = page.after
            assert found == expected
    thread = await kit.load_thread("thr_2", ME)
    assert (thread.title, thread.status.reason, thread.metadata) == ("Later", "done", {"a": 1})
    page = await kit.load_threads(2, "thr_3", "asc", ME)  # deleted while its page was looked at
    assert [thread.id for thread in page.data] == ["thr_4", "thr_5"]
    with pytest.raises(NotFoundError):
        await kit.load_threads(2, "thr_never", "asc", ME)


async def test_a_thread_with_items_is_saved_as_its_metadata(kit: ChatKitStore[Asking]) -> None:
    await kit.save_thread(Thread(**metadata().model_dump(), items={"data": [said("msg_1")]}), ME)
    assert await kit.load_thread("thr_1", ME) == metadata()
    assert await ids(kit) == []


async def test_what_is_anothers_does_not_exist(kit: ChatKitStore[Asking]) -> None:
    await kit.save_thread(metadata(), ME)
    await kit.add_thread_item("thr_1", said("msg_1"), ME)
    await kit.save_attachment(IMAGE, ME)
    for asked in (
        kit.load_thread("thr_1", OTHER),
        kit.load_thread_items("thr_1", None, 5, "asc", OTHER),
        kit.load_item("thr_1", "msg_1", OTHER),
        kit.add_thread_item("thr_1", said("msg_2"), OTHER),
        kit.save_item("thr_1", said("msg_1", "mine"), OTHER),
        kit.load_attachment("atc_1", OTHER),
        kit.load_threads(5, "thr_1", "asc", OTHER),
    ):
        with pytest.raises(NotFoundError):
            await asked
    await kit.delete_thread_item("thr_1", "msg_1", OTHER)
    await kit.delete_thread("thr_1", OTHER)
    await kit.delete_attachment("atc_1", OTHER)
    await kit.save_thread(metadata(title="same id"), OTHER)
    assert [thread.title for thread in (await kit.load_threads(5, None, "asc", OTHER)).data] == ["same id"]
    assert [thread.title for thread in (await kit.load_threads(5, None, "asc", ME)).data] == [None]
    assert await ids(kit) == ["msg_1"]
    assert await kit.load_attachment("atc_1", ME) == IMAGE


async def test_users_whose_keys_are_part_of_anothers_are_apart(async_store: AsyncChatStore) -> None:
    keys = [{"org": "b"}, {"org": "a"}, {"org": "a", "user": "u1"}, {"user": "u1"}]
    kit: ChatKitStore[int] = ChatKitStore(async_store, keys.__getitem__)
    for place in range(len(keys)):
        await kit.save_thread(metadata(f"thr_{place}"), place)
    for place, other in [*combinations(range(len(keys)), 2), (3, 0)]:
        with pytest.raises(NotFoundError):
            await kit.load_thread(f"thr_{place}", other)
        assert [thread.id for thread in (await kit.load_threads(9, None, "desc", other)).data] == [f"thr_{other}"]


@pytest.mark.parametrize("id", ["", "a\0b", "x" * 2_000, "never"])
async def test_ids_that_nothing_has_are_not_found(kit: ChatKitStore[Asking], id: str) -> None:
    await kit.save_thread(metadata(), ME)
    for asked in (
        kit.load_thread(id, ME),
        kit.load_thread_items(id, None, 5, "asc", ME),
        kit.load_thread_items("thr_1", id, 5, "asc", ME),
        kit.load_item("thr_1", id, ME),
        kit.load_attachment(id, ME),
        kit.load_threads(5, id, "asc", ME),
    ):
        with pytest.raises(NotFoundError):
            await asked
    await kit.delete_thread(id, ME)
    await kit.delete_thread_item("thr_1", id, ME)
    await kit.delete_attachment(id, ME)


async def test_a_deleted_thread_is_erased(kit: ChatKitStore[Asking], path: Path) -> None:
    await kit.save_thread(metadata(), ME)
    await kit.add_thread_item("thr_1", said("msg_1", "a secret of mine"), ME)
    await kit.delete_thread("thr_1", ME)
    await kit.delete_thread("thr_1", ME)
    for asked in (
        kit.load_thread("thr_1", ME),
        kit.load_thread_items("thr_1", None, 5, "desc", ME),
        kit.add_thread_item("thr_1", said("msg_2"), ME),
        kit.save_thread(metadata(), ME),
    ):
        with pytest.raises(NotFoundError):
            await asked
    assert b"a secret of mine" not in path.read_bytes()


async def test_attachments_are_saved_replaced_and_removed(kit: ChatKitStore[Asking]) -> None:
    for attachment in (IMAGE, FILE):
        await kit.save_attachment(attachment, ME)
        assert await kit.load_attachment(attachment.id, ME) == attachment
    placed = IMAGE.model_copy(update={"thread_id": "thr_1", "upload_descriptor": None})
    await kit.save_attachment(placed, ME)
    assert await kit.load_attachment(IMAGE.id, ME) == placed
    await kit.delete_attachment(IMAGE.id, ME)
    with pytest.raises(NotFoundError):
        await kit.load_attachment(IMAGE.id, ME)
    assert await kit.load_attachment(FILE.id, ME) == FILE
    assert (await kit.load_threads(5, None, "asc", ME)).data == []


async def test_attachments_are_made_where_there_is_a_place_for_their_bytes(async_store: AsyncChatStore) -> None:
    kit = on(async_store, upload_url=lambda id, asking: f"https://files.invalid/{asking.user}/{id}")
    image, file = [
        await kit.create_attachment(AttachmentCreateParams(name="a", size=3, mime_type=mime_type), ME)
        for mime_type in ("image/png", "text/plain")
    ]
    assert (image.type, file.type) == ("image", "file")
    assert str(image.preview_url) == f"https://files.invalid/u1/{image.id}" == str(image.upload_descriptor.url)
    with pytest.raises(UsageError, match="upload_url="):
        await on(async_store).create_attachment(AttachmentCreateParams(name="a", size=3, mime_type="a/b"), ME)


async def test_what_is_no_json_is_refused_with_an_error_of_the_store(kit: ChatKitStore[Asking]) -> None:
    await kit.save_thread(metadata(), ME)
    with pytest.raises(InvalidData):
        await kit.add_thread_item("thr_1", call(status="completed", output=2**70), ME)
    with pytest.raises(InvalidData):
        await kit.save_thread(metadata(metadata={"n": 2**70}), ME)
    assert await ids(kit) == []


_WRITE = """
    import asyncio, sys
    from chatkit_things import Asking, answered, said
    from chatstore import AsyncChatStore
    from chatstore.recorders.chatkit import ChatKitStore

    async def main(path, name, most):
        async with AsyncChatStore(path) as store:
            kit = ChatKitStore(store, lambda asking: {"user": asking.user})
            for number in range(int(most)):
                await kit.add_thread_item("thr_1", said(f"{name}-{number}"), Asking())
                await kit.add_thread_item("thr_1", answered(f"both-{number}"), Asking())
                await kit.save_item("thr_1", answered("shared", f"{name}-{number}"), Asking())
                print(number, flush=True)
    asyncio.run(main(*sys.argv[1:]))
"""
HERE = Path(__file__).parent


async def test_two_processes_write_into_one_thread(path: Path, kit: ChatKitStore[Asking]) -> None:
    await kit.save_thread(metadata(), ME)
    with Process(_WRITE, path, "a", 20, path=HERE) as a, Process(_WRITE, path, "b", 20, path=HERE) as b:
        for process in (a, b):
            while await asyncio.to_thread(process.line) != "19":
                pass
    found = await ids(kit, size=9)
    assert sorted(found) == sorted({"shared", *(f"{name}-{n}" for name in ("a", "b", "both") for n in range(20))})
    assert (await kit.load_item("thr_1", "shared", ME)).content[0].text in ("a-19", "b-19")


async def test_it_is_seen_live_and_what_was_acknowledged_survives_a_kill(path: Path, kit: ChatKitStore[Asking]) -> None:
    await kit.save_thread(metadata(), ME)
    added, changed = 0, 0
    with Process(_WRITE, path, "a", 100_000, path=HERE) as writer:
        async for change in kit.history("thr_1", ME).subscribe(after="now", timeout=60):
            added += isinstance(change, BlockAdded)
            changed += isinstance(change, BlockUpdated)
            if added >= 20 and changed:
                break
        acknowledged = [int(await asyncio.to_thread(writer.line)) for _ in range(10)][-1]
        writer.kill()
    assert {f"a-{number}" for number in range(acknowledged + 1)} <= {*await ids(kit, size=50)}
    shared = (await kit.load_item("thr_1", "shared", ME)).content[0].text
    assert int(shared.removeprefix("a-")) >= acknowledged
