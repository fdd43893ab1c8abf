"""What may still change of a finished block: its tags and its usage."""

from __future__ import annotations

import pytest

from chatstore import (
    AsyncChatStore,
    AsyncHistory,
    BlobNotFound,
    BlockAdded,
    BlockDraft,
    BlockNotFound,
    BlockUpdated,
    InvalidInput,
    Tag,
)
from chatstore import Part as BlockPart
from chatstore.testing.conformance.base import Part, block_of, log, unchanged


class Marking(Part):
    """Tags, usage, single blocks, and the bytes of parts."""

    async def test_a_tag_of_the_same_kind_and_name_takes_the_new_value(self, history: AsyncHistory) -> None:
        block = await history.append_user_message("x", tags=[Tag(kind="k", name="a", value=1)])
        tagged = await history.tag(block, Tag(kind="k", name="b"), Tag(kind="k", name="a", value={"n": [2]}))
        assert {(tag.kind, tag.name): tag.value for tag in tagged.tags} == {("k", "a"): {"n": [2]}, ("k", "b"): None}
        assert await history.get_block(block.id) == tagged
        assert tagged.updated_at >= block.updated_at
        assert tagged.model_copy(update={"tags": block.tags, "updated_at": block.updated_at}) == block

    async def test_of_one_tag_given_twice_the_last_holds(self, history: AsyncHistory) -> None:
        twice = [Tag(kind="k", name="a", value=1), Tag(kind="k", name="a", value=2)]
        assert (await history.append_user_message("x", tags=twice)).tags == (twice[1],)
        assert len(await history.get_messages(tags=[("k", "a")])) == 1

    async def test_a_block_is_found_by_a_tag_it_was_given_later(self, history: AsyncHistory) -> None:
        await history.append_user_message("x")
        block = await history.append_user_message("y")
        tagged = await history.tag(block.id, Tag(kind="k", name="n"))
        await history.tag(block.id, Tag(kind="k", name="n", value=3))
        assert [found.id for found in await history.get_messages(tags=[Tag(kind="k", name="n")])] == [tagged.id]

    async def test_blocks_are_found_by_every_tag_that_they_were_given_later(
        self, store: AsyncChatStore, history: AsyncHistory
    ) -> None:
        given = [("a", "n"), ("a", "m"), ("b", "n")]
        for one in (history, store.history("other")):
            await one.tag_context(*(Tag(kind=kind, name=name) for kind, name in given))
            blocks = await one.append([BlockDraft(text="x"), BlockDraft(text="y")])
            for block in blocks:
                for kind, name in given:
                    await one.tag(block, Tag(kind=kind, name=name))
            for tag in given:
                assert [found.id for found in await one.get_messages(tags=[tag])] == [block.id for block in blocks]

    async def test_usage_is_set_and_set_again(self, history: AsyncHistory) -> None:
        block = await history.append_assistant_message("x", usage={"input_tokens": 1})
        counted = await history.set_usage(block, {"output_tokens": 2, "cost": 0.1})
        assert counted.usage == {"output_tokens": 2, "cost": 0.1}
        assert (await history.get_block(block.id)).usage == counted.usage

    async def test_an_update_is_a_change_of_the_log_and_moves_no_index(self, history: AsyncHistory) -> None:
        first = await history.append_user_message("one")
        await history.tag(first, Tag(kind="k", name="n"))
        second = await history.append_user_message("two")
        counted = await history.set_usage(first, {"tokens": 1})
        changes = await log(history)
        assert [(type(change), block_of(change).id) for change in changes] == [
            (BlockAdded, first.id),
            (BlockUpdated, first.id),
            (BlockAdded, second.id),
            (BlockUpdated, first.id),
        ]
        assert block_of(changes[-1]) == counted
        assert changes[-1].cursor == await history.head()
        assert [block.index for block in await history.get_messages()] == [0, 1]

    async def test_only_a_block_of_this_history_is_marked_or_found(
        self, store: AsyncChatStore, history: AsyncHistory
    ) -> None:
        await history.append_user_message("x")
        other = await store.history("other").append_user_message("y")
        async with unchanged(history):
            for block in (other, other.id, "01890a5d-ac96-774b-bcce-b302099a8057"):
                with pytest.raises(BlockNotFound):
                    await history.tag(block, Tag(kind="k", name="n"))
                with pytest.raises(BlockNotFound):
                    await history.set_usage(block, {})
            with pytest.raises(BlockNotFound):
                await history.get_block(other.id)
            for malformed in ("", "x", "0" * 31, None):
                with pytest.raises(InvalidInput):
                    await history.get_block(malformed)  # type: ignore[arg-type]

    async def test_marking_a_block_of_a_context_that_does_not_exist_makes_none(
        self, store: AsyncChatStore, history: AsyncHistory
    ) -> None:
        block = await history.append_user_message("x")
        with pytest.raises(BlockNotFound):
            await store.history("nobody").tag(block, Tag(kind="k", name="n"))
        assert [context.context_id for context in await store.contexts()] == [history.context_id]

    async def test_the_bytes_of_parts_come_back_equal(self, store: AsyncChatStore, history: AsyncHistory) -> None:
        contents = [b"", b"\0", bytes(range(256)), b"x" * 300_000]
        block = await history.append_user_message(
            "look", parts=[BlockPart(type="image", mime_type="image/png", content=content) for content in contents]
        )
        assert [part.size for part in block.parts] == [len(content) for content in contents]
        assert [part.content for part in block.parts] == [None] * len(contents)
        for part, content in zip((await history.get_block(block.id)).parts, contents, strict=True):
            assert await store.read_bytes(part) == content
            assert part.digest is not None
            assert await store.read_bytes(part.digest) == content

    async def test_equal_bytes_have_one_digest_in_every_history(self, store: AsyncChatStore) -> None:
        drafts = [BlockDraft(parts=(BlockPart(type="file", content=b"same", name=str(n)),) * 2) for n in range(3)]
        blocks = [block for name in "ab" for block in await store.history(name).append(drafts)]
        digests = {part.digest for block in blocks for part in block.parts}
        assert len(digests) == 1
        assert await store.read_bytes(digests.pop() or "") == b"same"

    async def test_parts_without_bytes_come_back_equal(self, history: AsyncHistory) -> None:
        parts = (
            BlockPart(type="text", text="a\0b"),
            BlockPart(type="image", url="https://example.org/?q=ü#x", mime_type="image/png"),
            BlockPart(type="audio", url="data:,", name="Ünïcode.mp3"),
        )
        assert (await history.append_user_message("", parts=parts)).parts == parts
        assert (await history.get_messages())[0].parts == parts

    async def test_bytes_that_are_not_in_the_store_are_said_not_to_be(self, store: AsyncChatStore) -> None:
        for digest in ("00" * 32, "00"):
            with pytest.raises(BlobNotFound):
                await store.read_bytes(digest)
        for part in ("not hexadecimal", BlockPart(type="text", text="x"), None):
            with pytest.raises(InvalidInput):
                await store.read_bytes(part)  # type: ignore[arg-type]
