"""What `repr` and `print` show: which object it is and how it stands, and no text of an open block."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from chatstore import AsyncChatStore, Block, BlockAdded, ChatStore, Tag, TextAppended


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ChatStore]:
    with ChatStore(tmp_path / "chat.db") as opened:
        yield opened


def test_a_change_is_printed_with_the_name_of_its_class(store: ChatStore) -> None:
    history = store.history("a")
    with history.open_message() as answer:
        answer.write("Yes")
        answer.flush()
        changes = [*history.subscribe(follow=False)]
    for change, kind in zip(changes, [BlockAdded, TextAppended], strict=True):
        assert str(change) == repr(change)
        assert str(change).startswith(f"{kind.__name__}(context_id='a', ")


def test_a_block_shows_what_it_has_and_not_what_it_lacks(store: ChatStore) -> None:
    block = store.history("a").append_user_message("Hello", tags=[Tag(kind="k", name="n")])
    assert "text='Hello', tags=(Tag(kind='k', name='n'),), internal=False" in str(block)
    assert not [name for name in Block.model_fields if f"{name}=None" in str(block)]


def test_a_store_says_when_it_was_closed(store: ChatStore) -> None:
    assert repr(store) == f"ChatStore({str(store.path)!r})"
    store.close()
    assert repr(store) == f"<closed ChatStore({store.location!r})>"


def test_what_a_history_hands_out_says_what_it_is_of(store: ChatStore) -> None:
    history = store.history("a")
    run = history.run()
    assert repr(run) == f"<RunScope {run.id} of 'a', not entered>"
    with run:
        assert repr(run).endswith(", running>")
        answer = history.open_message()
        answer.write("a secret")
        assert repr(answer) == "<BlockWriter of block 0 of 'a', 8 bytes written>"
        block = answer.close()
        assert repr(answer) == "<BlockWriter of block 0 of 'a', ended>"
    assert repr(run).endswith(", over>")
    assert repr(history.read_block(block)) == "<BlockReader of block 0 of 'a'>"


def test_a_subscription_says_where_it_stands(store: ChatStore) -> None:
    history = store.history("a")
    block = history.append_user_message("Hello")
    with history.subscribe() as changes:
        next(changes)
        assert repr(changes) == f"<Subscription to 'a', at {block.cursor}>"
    assert repr(changes) == "<Subscription to 'a', ended>"
    with store.subscribe() as everywhere:
        next(everywhere)
        assert repr(everywhere) == f"<StoreSubscription to the store, at {everywhere.cursor}>"


def test_a_handle_says_whether_its_agent_works(store: ChatStore) -> None:
    handle = store.submit(lambda history, prompt: prompt, "Hello", context="a")
    assert handle.result(timeout=30) == "Hello"
    assert repr(handle) == f"<RunHandle of run {handle.run.id} of 'a', done>"


async def test_the_twins_say_the_same(tmp_path: Path) -> None:
    async with AsyncChatStore(tmp_path / "chat.db") as store:
        history = store.history("a")
        writer = history.open_message()
        assert repr(writer) == "<AsyncBlockWriter that is not open yet>"
        async with writer:
            await writer.write("Yes")
            assert repr(writer) == "<AsyncBlockWriter of block 0 of 'a', 3 bytes written>"
        changes = history.subscribe()
        assert repr(changes) == "<AsyncSubscription to 'a', not begun>"
        await changes.close()
        reader = await history.read_block(writer.block)
        assert repr(reader) == "<AsyncBlockReader of block 0 of 'a'>"
        handle = await store.submit(lambda history, prompt: history.append_assistant_message(prompt), "b", context="b")
        assert repr(handle).startswith(f"<AsyncRunHandle of run {handle.run.id} of 'b', ")
        await handle.result(timeout=30)
        assert repr(handle).endswith(", done>")
    assert repr(store) == f"<closed AsyncChatStore({store.location!r})>"
