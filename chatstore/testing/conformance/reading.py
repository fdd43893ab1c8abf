"""Reading blocks: every kind, every filter, every window, compared with a model in plain Python."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatstore import AsyncChatStore, AsyncHistory, Block, BlockDraft, InvalidInput, Tag
from chatstore.testing.conformance import oracle
from chatstore.testing.conformance.base import Part, block_of, examples, log
from chatstore.testing.conformance.oracle import Query

_names = count()

SINGLE: list[dict[str, Any]] = [
    {},
    *({"kind": kind} for kind in ("transcript", "prompt", "trace")),
    *({"types": [type]} for type in oracle.TYPES),
    *({"roles": [role]} for role in oracle.ROLES),
    *({"authors": [author]} for author in oracle.AUTHORS),
    *({"tags": [tag]} for tag in oracle.TAGS),
    *({"states": [state]} for state in oracle.STATES),
    {"run": "r1"},
    {"types": []},
    {"roles": []},
    {"authors": []},
    {"states": []},
    {"tags": []},
    {"tags": list(oracle.TAGS)},
    {"types": ["message", "status"], "roles": ["user", "tool"]},
]


def varied() -> list[BlockDraft]:
    """One draft of every type, role and flag, with authors, runs and tags in between."""
    made = []
    for place, (type, role, internal) in enumerate(
        (type, role, internal) for type in oracle.TYPES for role in (None, *oracle.ROLES) for internal in (False, True)
    ):
        names = oracle.TAGS[: place % 4]
        made.append(
            BlockDraft(
                type=type,
                role=role,
                internal=internal,
                author=(None, *oracle.AUTHORS)[place % 4],
                run_id=(None, *oracle.RUNS)[place % 3],
                tags=tuple(Tag(kind=kind, name=name) for kind, name in names),
                text=str(place),
            )
        )
    return made


async def read(history: AsyncHistory, blocks: list[Block], query: Query) -> list[Block]:
    """What the store gives for a query."""
    return await history.get_messages(
        after=None if query.after is None else blocks[query.after].cursor,
        before=None if query.before is None else blocks[query.before].cursor,
        last=query.last,
        limit=query.limit,
        **query.filters,
    )


class Reading(Part):
    """`get_messages`, `since_last_user_message`, `count` and a subscription that ends, by one model."""

    @pytest.mark.parametrize("filters", SINGLE, ids=str)
    async def test_a_filter_selects_what_it_says(self, history: AsyncHistory, filters: dict[str, Any]) -> None:
        blocks = await history.append(varied())
        expected = oracle.selected(blocks, filters)
        assert await history.get_messages(**filters) == oracle.as_read(expected, filters)
        assert await history.count(**filters) == len(expected)
        assert [*map(block_of, await log(history, **filters))] == expected

    @examples
    @given(drafts=st.lists(oracle.drafts, max_size=25), data=st.data())
    async def test_every_read_agrees_with_the_model(
        self, store: AsyncChatStore, drafts: list[BlockDraft], data: st.DataObject
    ) -> None:
        history = store.history(f"model {next(_names)}")
        blocks = await history.append(drafts)
        for _ in range(4):
            query = data.draw(oracle.queries(len(blocks)))
            assert await read(history, blocks, query) == oracle.window(blocks, query)
            assert await history.count(**query.filters) == len(oracle.selected(blocks, query.filters))
            assert await history.since_last_user_message(**query.filters) == oracle.since_last_user_message(
                blocks, query.filters
            )
            start = None if query.after is None else blocks[query.after].cursor
            seen = [*map(block_of, await log(history, after=start, **query.filters))]
            behind = blocks if query.after is None else blocks[query.after + 1 :]
            assert seen == oracle.selected(behind, query.filters)

    async def test_histories_do_not_see_each_other(self, store: AsyncChatStore) -> None:
        stored = {name: await store.history(name).append(varied()) for name in "abc"}
        for name, blocks in stored.items():
            for filters in SINGLE:
                expected = oracle.as_read(oracle.selected(blocks, filters), filters)
                assert await store.history(name).get_messages(**filters) == expected

    async def test_last_gives_the_end_in_order_and_limit_the_beginning(self, history: AsyncHistory) -> None:
        blocks = await history.append([BlockDraft(text=str(place)) for place in range(10)])
        assert await history.get_messages(last=3) == blocks[-3:]
        assert await history.get_messages(limit=3) == blocks[:3]
        assert await history.get_messages(last=0) == await history.get_messages(limit=0) == []
        assert await history.get_messages(last=99) == await history.get_messages(limit=99) == blocks
        assert await history.get_messages(before=blocks[7].cursor, last=2) == blocks[5:7]
        assert await history.get_messages(after=blocks[7].cursor, limit=1) == blocks[8:9]

    async def test_after_and_before_are_exclusive(self, history: AsyncHistory) -> None:
        blocks = await history.append([BlockDraft(text=str(place)) for place in range(5)])
        assert await history.get_messages(after=blocks[1].cursor, before=blocks[3].cursor) == blocks[2:3]
        assert await history.get_messages(after=blocks[3].cursor, before=blocks[1].cursor) == []
        assert await history.get_messages(after=await history.head()) == []
        assert await history.get_messages(before=await history.head()) == blocks[:4]

    async def test_a_cursor_of_an_update_stands_between_the_blocks_around_it(self, history: AsyncHistory) -> None:
        first = await history.append_user_message("one")
        await history.tag(first, Tag(kind="k", name="n"))
        update = await history.head()
        second = await history.append_user_message("two")
        assert await history.get_messages(after=update) == [second]
        assert [block.id for block in await history.get_messages(before=update)] == [first.id]
        await history.set_usage(first, {})
        assert await history.get_messages(after=await history.head()) == []
        assert len(await history.get_messages(before=await history.head())) == 2

    async def test_the_cursor_before_everything_reads_everything(self, history: AsyncHistory) -> None:
        start = await history.head()
        blocks = await history.append(varied())
        assert await history.get_messages(after=start) == blocks
        assert await history.get_messages(before=start) == []

    @pytest.mark.parametrize(
        "wrong",
        [
            {"last": 1, "limit": 1},
            {"last": -1},
            {"limit": -1},
            {"last": 1.5},
            {"limit": "5"},
            {"last": True},
            {"last": 2**63},
            {"limit": 2**200},
        ],
        ids=str,
    )
    async def test_a_number_of_blocks_that_is_none_is_refused(
        self, history: AsyncHistory, wrong: dict[str, Any]
    ) -> None:
        with pytest.raises(InvalidInput):
            await history.get_messages(**wrong)

    async def test_since_the_last_user_message_is_what_came_behind_it(self, history: AsyncHistory) -> None:
        await history.append_system_message("be brief")
        assert len(await history.since_last_user_message()) == 1
        await history.append_user_message("question")
        assert await history.since_last_user_message() == []
        status = await history.append_status_message("looking")
        call = await history.append_function_call("f", {})
        assert await history.since_last_user_message() == [status, call]
        assert await history.since_last_user_message(types=["function_call"]) == [call]
        assert await history.since_last_user_message(kind="transcript") == []
        await history.append_user_message("never mind")
        assert await history.since_last_user_message() == []
        beside = await history.append(BlockDraft(type="upload", role="user"))
        assert await history.since_last_user_message() == [beside]

    @pytest.mark.parametrize("value", ["x') OR '1'='1", "%", "' OR 1=1 --", "user\0", 'user"', "USER"])
    async def test_values_of_filters_are_values_and_never_sql(self, history: AsyncHistory, value: str) -> None:
        if "\0" in value:
            with pytest.raises(InvalidInput):
                await history.get_messages(roles=[value])
            return
        await history.append(varied())
        own = await history.append(
            BlockDraft(role=value, author=value, run_id=value, tags=(Tag(kind=value, name=value),))
        )
        for filters in ({"roles": [value]}, {"run": value}, {"tags": [(value, value)]}):
            assert await history.get_messages(**filters) == [own]
        assert own in await history.get_messages(authors=[value])
        assert await history.count(types=[value.lower()]) == 0

    async def test_what_a_read_returned_may_be_changed_without_changing_the_store(self, history: AsyncHistory) -> None:
        await history.append(BlockDraft(data={"list": [1]}, usage={"n": 1}))
        (block,) = await history.get_messages()
        block.data["list"].append(2)
        block.usage["n"] = 2
        (again,) = await history.get_messages()
        assert (again.data, again.usage) == ({"list": [1]}, {"n": 1})
