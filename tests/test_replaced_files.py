"""Whatever is done to a store's files while it is open: an error that says so, or no harm, and never a lost append."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from other_processes import run
from replacing import (
    COPY_OVER,
    HARMLESS,
    KEEP_WHAT_THERE_WAS,
    REFUSED,
    RESTORE,
    beside,
    copy,
    remove,
    rename_and_rename_back,
    shell,
)

from chatstore import AsyncChatStore, BlockAdded, ChatStore, StoreReplaced

pytestmark = pytest.mark.slow

TOLD_WITHIN = 5.0
"""Seconds in which a subscriber learns of it; the store looks twice a second."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """In a directory that can be renamed."""
    (tmp_path / "store").mkdir()
    return tmp_path / "store" / "chat.db"


def texts(path: Path) -> list[str]:
    """What another process finds, which has never had the store open; nothing where there is none."""
    found = run(
        """
        import sys
        from chatstore import ChatStore, OpenError, StoreDamaged
        try:
            with ChatStore(sys.argv[1]) as store:
                print(*(block.text for block in store.history("c").get_messages()))
        except (OpenError, StoreDamaged):  # a log beside what was copied over its database
            pass
        """,
        path,
    )
    return found.split()


@pytest.mark.parametrize("act", REFUSED.values(), ids=REFUSED)
def test_a_writer_is_refused_from_then_on(path: Path, act: Callable[[Path], object]) -> None:
    with ChatStore(path) as store:
        history = store.history("c")
        acknowledged = [history.append_user_message(f"before-{number}").text for number in range(20)]
        act(path)
        for _ in range(2):
            with pytest.raises(StoreReplaced, match=r"chat\.db.*open it again.*may be stored"):
                history.append_user_message("after")
        with pytest.raises(StoreReplaced):
            history.get_messages()
    found = texts(path)
    assert found.count("after") <= 1, "refused before it was committed, but for the first"
    if any(act is REFUSED[name] for name in KEEP_WHAT_THERE_WAS):
        assert [text for text in found if text != "after"] == acknowledged


@pytest.mark.slow
@pytest.mark.parametrize("act", REFUSED.values(), ids=REFUSED)
async def test_a_writer_on_an_event_loop_is_refused_from_then_on(path: Path, act: Callable[[Path], object]) -> None:
    async with AsyncChatStore(path, durability="token") as store:
        history = store.history("c")
        for number in range(20):
            await history.append_user_message(f"before-{number}")
        act(path)
        answers = [history.append_user_message("after") for _ in range(10)]
        assert [type(answer) for answer in await asyncio.gather(*answers, return_exceptions=True)] == [
            StoreReplaced
        ] * 10
        with pytest.raises(StoreReplaced):
            await history.count()
    assert texts(path).count("after") <= 10, "one commit, and not tried again"


@pytest.mark.slow
@pytest.mark.parametrize("act", REFUSED.values(), ids=REFUSED)
def test_whoever_streams_is_refused_from_then_on(path: Path, act: Callable[[Path], object]) -> None:
    # The close says so too: it can end nothing that is open.
    with pytest.raises(StoreReplaced), ChatStore(path) as store:
        block = store.history("c").open_message()
        block.write("before")
        block.flush()
        act(path)
        with pytest.raises(StoreReplaced):  # the write only if it has been found out meanwhile
            block.write("after")
            block.close()
    assert texts(path) in ([], ["before"], ["beforeafter"], ["another", "store's"])


@pytest.mark.parametrize("act", REFUSED.values(), ids=REFUSED)
def test_a_subscriber_is_told(path: Path, act: Callable[[Path], object]) -> None:
    with ChatStore(path) as store:
        history = store.history("c")
        history.append_user_message("x")
        with history.subscribe(timeout=TOLD_WITHIN) as changes:
            next(changes)
            act(path)
            with pytest.raises(StoreReplaced):
                next(changes)


@pytest.mark.slow
@pytest.mark.parametrize("act", REFUSED.values(), ids=REFUSED)
async def test_a_subscriber_on_an_event_loop_is_told(path: Path, act: Callable[[Path], object]) -> None:
    async with AsyncChatStore(path) as store:
        history = store.history("c")
        await history.append_user_message("x")
        async with history.subscribe(timeout=TOLD_WITHIN) as changes:
            await anext(changes)
            act(path)
            with pytest.raises(StoreReplaced):
                await anext(changes)


@pytest.mark.slow
@pytest.mark.parametrize("act", REFUSED.values(), ids=REFUSED)
def test_no_backup_is_made_of_it(path: Path, act: Callable[[Path], object], tmp_path: Path) -> None:
    with ChatStore(path) as store:
        store.history("c").append_user_message("x")
        act(path)
        with pytest.raises(StoreReplaced):
            store.backup(tmp_path / "made.db")
    assert not (tmp_path / "made.db").exists()


@pytest.mark.slow
@pytest.mark.parametrize("act", HARMLESS.values(), ids=HARMLESS)
def test_what_does_no_harm_loses_nothing_for_writers_and_subscribers(path: Path, act: Callable[[Path], object]) -> None:
    acknowledged = []
    with ChatStore(path) as store:
        history = store.history("c")
        with history.subscribe(timeout=TOLD_WITHIN) as changes:
            for number in range(5):
                acknowledged.append(history.append_user_message(f"ours-{number}").text)
                act(path)
                acknowledged.append(f"theirs-{number}")
                run(_APPEND, path, acknowledged[-1])
                seen = [next(changes) for _ in range(2)]
                assert [change.block.text for change in seen if isinstance(change, BlockAdded)] == acknowledged[-2:]
    assert texts(path) == acknowledged


def test_a_directory_that_is_renamed_for_a_moment_may_be_refused_and_loses_nothing(path: Path) -> None:
    acknowledged = []
    with ChatStore(path) as store, suppress(StoreReplaced):  # whether somebody looked in that moment is chance
        for number in range(5):
            acknowledged.append(store.history("c").append_user_message(f"ours-{number}").text)
            rename_and_rename_back(path)
    assert acknowledged
    assert texts(path)[: len(acknowledged)] == acknowledged


_APPEND = """
    import sys
    from chatstore import ChatStore
    with ChatStore(sys.argv[1]) as store:
        store.history("c").append_user_message(sys.argv[2])
"""


def test_what_the_log_held_is_kept_when_it_was_removed_under_two_processes(path: Path) -> None:
    with ChatStore(path) as store:
        history = store.history("c")
        acknowledged = [history.append_user_message(f"before-{number}").text for number in range(20)]
        run(
            """
            import os, sys
            from chatstore import ChatStore, StoreReplaced
            with ChatStore(sys.argv[1]) as store:
                history = store.history("c")
                history.append_user_message("theirs")
                os.unlink(sys.argv[1] + "-wal")
                try:
                    history.append_user_message("after")
                except StoreReplaced:
                    pass
                else:
                    sys.exit("acknowledged")
            """,
            path,
        )
        with pytest.raises(StoreReplaced):
            history.append_user_message("after")
    assert [text for text in texts(path) if text != "after"] == [*acknowledged, "theirs"]


def test_a_log_that_another_process_began_is_left_to_it(path: Path) -> None:
    with ChatStore(path) as store:
        store.history("c").append_user_message("before")
        shell(path, "PRAGMA wal_checkpoint(TRUNCATE)")
        remove(path, "-wal", "-shm")
        run(_APPEND, path, "theirs")
        with pytest.raises(StoreReplaced):
            store.history("c").append_user_message("after")
    assert texts(path) == ["before", "theirs"]


@pytest.mark.parametrize("restore", [COPY_OVER, RESTORE], ids=["copied", "by SQLite"])
def test_an_older_copy_of_the_same_store_is_told_from_it(path: Path, restore: str) -> None:
    with ChatStore(path) as store:
        store.history("c").append_user_message("before")
    old = copy(path, path.with_suffix(".old"))
    with ChatStore(path) as store:
        history = store.history("c")
        for _ in range(3):  # also what the log held once is in the file
            history.append_user_message("x" * 1_500_000)
        with history.subscribe(after="now", timeout=TOLD_WITHIN) as changes:
            history.append_user_message("later")
            next(changes)
            run(restore, old, path)
            with pytest.raises(StoreReplaced):
                next(changes)
        with pytest.raises(StoreReplaced):
            history.append_user_message("after")


def test_a_log_that_is_copied_and_begun_anew_by_others_is_the_same_store(path: Path) -> None:
    with ChatStore(path) as store:
        for number in range(5):
            store.history("c").append_user_message(f"ours-{number}" + "x" * 100_000)
            shell(path, "DELETE FROM changes WHERE id < 3", "PRAGMA wal_checkpoint(TRUNCATE)", "VACUUM")
        assert store.history("c").count() == 5


def test_a_store_made_anew_at_the_path_is_another_one(path: Path) -> None:
    with ChatStore(path) as old:
        old.history("a").append_user_message("old")
        remove(path)
        with ChatStore(path) as new:
            assert new.identity != old.identity
            assert new.history("a").append_user_message("new").index == 0
        with ChatStore(path) as again:
            assert [block.text for block in again.history("a").get_messages()] == ["new"]


def test_closing_the_store_that_was_replaced_leaves_the_new_one_s_log_alone(path: Path) -> None:
    old = ChatStore(path)
    old.history("c").append_user_message("old")
    remove(path)
    with ChatStore(path) as new:
        new.history("c").append_user_message("new")
        old.close()
        new.history("c").append_user_message("newer")
        assert texts(path) == ["new", "newer"]
    assert texts(path) == ["new", "newer"]


def test_a_read_of_a_removed_file_leaves_nothing_at_the_path(path: Path) -> None:
    with ChatStore(path) as store:
        store.history("a").append_user_message("x")
        remove(path)
        with pytest.raises(StoreReplaced):
            store.history("a").count()
        assert not path.exists()


def test_a_store_without_its_log_gets_one_again(path: Path) -> None:
    with ChatStore(path) as store:
        store.history("c").append_user_message("before")
    assert "delete" in shell(path, "PRAGMA journal_mode=DELETE")
    with ChatStore(path) as store:
        store.history("c").append_user_message("after")
        assert beside(path, "-wal").exists()
    assert texts(path) == ["before", "after"]
