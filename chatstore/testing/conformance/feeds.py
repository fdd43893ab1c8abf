"""Following a whole store: every context, or those that match, under one cursor."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import pytest

from chatstore import AsyncChatStore, BlockAdded, BlockClosed, Change, InvalidCursor, InvalidInput, Tag, UnknownKind
from chatstore.testing.conformance.base import Open, Part, Reader, block_of, fill, log, rest, soon, take, texts


async def feed(store: AsyncChatStore, **wanted: Any) -> list[Change]:
    """All there is of a store by now."""
    return await rest(store.subscribe(follow=False, **wanted))


def by_context(changes: Iterable[Change]) -> dict[str, Reader]:
    """What a reader of each context has, who fails at a gap, a repetition or a step back."""
    readers: dict[str, Reader] = defaultdict(Reader)
    for change in changes:
        readers[change.context_id].see([change])
    return readers


class Feeds(Part):
    """`store.subscribe`."""

    async def test_it_gives_what_is_there_of_every_context_and_then_what_comes(
        self, store: AsyncChatStore, another: Open
    ) -> None:
        twin = await another()
        for name in "ab":
            await fill(store.history(name), 3)
        async with store.subscribe() as subscription:
            seen = await take(subscription, 6)
            coming = asyncio.ensure_future(take(subscription, 4))
            await twin.history("a").append_user_message("3")
            await twin.history("new").append_user_message("0")
            await store.history({"user": "u1"}).append_user_message("0")
            await store.history("b").tag(block_of(seen[-1]), Tag(kind="k", name="n"))
            seen += await soon(coming)
        assert [change.context_id for change in seen[6:]][:2] == ["a", "new"]
        for name in ("a", "b", "new"):
            own = [change.cursor for change in seen if change.context_id == name]
            assert own == [change.cursor for change in await log(store.history(name))]
        assert await feed(store, after=subscription.cursor) == []

    async def test_any_place_is_one_to_resume_at(self, store: AsyncChatStore) -> None:
        await self._write(store)
        places: list[tuple[int, str]] = []
        changes: list[Change] = []
        async with store.subscribe(follow=False) as subscription:
            async for change in subscription:
                changes.append(change)
                places.append((len(changes), subscription.cursor or ""))
        stored = {name: await store.history(name).get_messages() for name in "abc"}
        for place, cursor in places:
            left = await feed(store, after=cursor)
            readers = by_context([*changes[:place], *left])
            for name, blocks in stored.items():
                assert readers[name].texts == {block.index: block.text for block in blocks}
        assert [cursor for _, cursor in places] == sorted({cursor for _, cursor in places})

    async def test_many_follow_while_many_write(self, store: AsyncChatStore, another: Open) -> None:
        twin = await another()

        async def write(name: str) -> None:
            history = (store, twin)[ord(name) % 2].history(name)
            for _ in range(5):
                async with history.open_message() as block:
                    for place in range(10):
                        await block.write(f"{place} ")
                        await asyncio.sleep(0)
                await history.append_user_message("x")

        async def follow(stop: int) -> dict[str, Reader]:
            seen: list[Change] = []
            cursor = None
            while not _all_there(seen):
                async with (store, twin)[stop % 2].subscribe(after=cursor) as subscription:
                    for _ in range(stop):
                        seen += await take(subscription, 1)
                        cursor = subscription.cursor
                        if _all_there(seen):
                            break
            return by_context(seen)

        following = asyncio.gather(*map(follow, (3, 8, 50)))
        await soon(asyncio.gather(*map(write, "abcdef")))
        for readers in await soon(following):
            for name in "abcdef":
                blocks = await store.history(name).get_messages()
                assert readers[name].texts == {block.index: block.text for block in blocks}

    async def test_a_feed_from_now_gives_what_comes_after_it_began(self, store: AsyncChatStore) -> None:
        await fill(store.history("a"), 3)
        async with store.subscribe(after="now") as subscription:
            await store.history("b").append_user_message("new")
            assert texts(await take(subscription, 1)) == ["new"]
        assert await feed(store, after="now") == []

    async def test_keys_and_tags_choose_the_contexts(self, store: AsyncChatStore) -> None:
        for user in ("u1", "u2"):
            for channel in ("web", "mail"):
                history = store.history({"user": user, "channel": channel})
                if channel == "web":
                    await history.tag_context(Tag(kind="state", name="open"))
                await history.append_user_message(f"{user} {channel}")
        assert texts(await feed(store, keys={"user": "u1"})) == ["u1 web", "u1 mail"]
        assert texts(await feed(store, keys={"user": "u1", "channel": "web"})) == ["u1 web"]
        assert texts(await feed(store, tags=[("state", "open")])) == ["u1 web", "u2 web"]
        assert texts(await feed(store, tags=[Tag(kind="state", name="open")], keys={"user": "u2"})) == ["u2 web"]
        assert await feed(store, keys={"user": "u3"}) == await feed(store, tags=[("no", "such")]) == []
        async with store.subscribe(after="now", keys={"user": "u2"}) as subscription:
            await store.history({"user": "u1", "channel": "web"}).append_user_message("not this")
            await store.history({"user": "u2", "channel": "new"}).append_user_message("this")
            assert texts(await take(subscription, 1)) == ["this"]

    async def test_kind_and_filters_mean_the_same_blocks_as_in_a_history(self, store: AsyncChatStore) -> None:
        await self._write(store)
        for filters in (
            {"kind": "transcript"},
            {"kind": "prompt"},
            {"types": ["status"]},
            {"authors": ["a"], "roles": ["assistant"]},
            {"states": ["open"]},
            {"states": ["closed", "cancelled"]},
        ):
            expected = [change for name in "abc" for change in await log(store.history(name), **filters)]
            seen = await feed(store, **filters)
            assert {change.context_id for change in seen} == {change.context_id for change in expected}
            for name in "abc":
                own = by_context(seen)[name]
                assert own.texts == by_context(expected)[name].texts

    async def test_a_timeout_ends_a_feed(self, store: AsyncChatStore) -> None:
        await fill(store.history("a"), 2)
        assert texts(await rest(store.subscribe(timeout=0.05))) == texts(await rest(store.subscribe(timeout=0)))
        assert await rest(store.subscribe(after="now", timeout=0.05)) == []

    async def test_a_feed_closed_from_another_task_ends(self, store: AsyncChatStore) -> None:
        subscription = store.subscribe()
        await fill(store.history("a"), 1)
        await take(subscription, 1)
        ending = asyncio.ensure_future(rest(subscription))
        await asyncio.sleep(0)
        await soon(subscription.close())
        assert await soon(ending) == []
        await soon(subscription.close())

    async def test_closing_the_store_ends_its_feeds(self, another: Open) -> None:
        store = await another()
        await fill(store.history("a"), 1)
        subscription = store.subscribe()
        await take(subscription, 1)
        ending = asyncio.ensure_future(rest(subscription))
        await asyncio.sleep(0)
        await soon(store.close())
        assert await soon(ending) == []

    async def test_cursors_of_contexts_other_stores_and_nonsense_are_refused(
        self, store: AsyncChatStore, foreign_store: AsyncChatStore
    ) -> None:
        for each in (store, foreign_store):
            await fill(each.history("a"), 2)
        own, foreign = [await self._end(each) for each in (store, foreign_store)]
        assert await feed(store, after=own) == []
        context = await store.history("a").head()
        beyond = own[:-1] + ("9" if own[-1] != "9" else "8")
        for wrong in (context, foreign, beyond, "", "latest", own + "0", f"{own}\n", "\ud800"):
            with pytest.raises(InvalidCursor):
                await feed(store, after=wrong)
        for use in (
            lambda: log(store.history("a"), after=own),
            lambda: store.history("a").get_messages(after=own),
            lambda: store.history("a").append_user_message("x", expect=own),
        ):
            with pytest.raises(InvalidCursor):
                await use()
        assert block_of((await feed(store))[0]).text == "0"

    @pytest.mark.parametrize(
        "wrong",
        [
            {"after": 5},
            {"keys": {"user": 5}},
            {"keys": "user"},
            {"keys": {str(n): "x" for n in range(33)}},
            {"tags": "topic"},
            {"tags": [("topic", str(n)) for n in range(33)]},
            {"types": "message"},
            {"states": ["done"]},
            {"timeout": -1},
            {"timeout": float("nan")},
        ],
        ids=lambda wrong: ascii(wrong)[:30],
    )
    async def test_wrong_parameters_of_a_feed_are_refused(self, store: AsyncChatStore, wrong: dict[str, Any]) -> None:
        await fill(store.history("a"), 1)
        with pytest.raises(InvalidInput):
            await feed(store, **wrong)
        with pytest.raises(UnknownKind):
            await feed(store, kind="all")

    async def _write(self, store: AsyncChatStore) -> None:
        """Three contexts that grow by turns, with runs, and one block that stays open."""
        histories = [store.history(name) for name in "abc"]
        for history in histories:
            await history.append_user_message("question")
        blocks = [await history.open_message(author=history.context_id) for history in histories]
        for place in range(8):
            for history, block in zip(histories, blocks, strict=True):
                await block.write(f"{place} ")
                await soon(block.flush())
                if place % 4 == 0:
                    await history.append_status_message("working")
        await blocks[0].close()
        await blocks[1].cancel()
        async with histories[2].run():
            await histories[2].append_user_message("again")

    async def _end(self, store: AsyncChatStore) -> str:
        async with store.subscribe(after="now") as subscription:
            return subscription.cursor or ""


def _all_there(changes: list[Change]) -> bool:
    added = sum(isinstance(change, BlockAdded) for change in changes)
    return added == 60 and sum(isinstance(change, BlockClosed) for change in changes) == 30
