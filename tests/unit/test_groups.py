"""How the writes of one process are committed together."""

from __future__ import annotations

import threading
from collections import deque
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from chatstore import AsyncChatStore, ChatStore, StoreClosed
from chatstore.operations.transaction import Transaction
from chatstore.writing.committer import Committer, Durability
from chatstore.writing.pending import Pending

NORMAL, FULL = 1, 2


def _synchronous(transaction: Transaction) -> int:
    return int(transaction.conn.exec_driver_sql("PRAGMA synchronous").scalar_one())


@pytest.mark.parametrize(
    ("synced", "expected"),
    [((False, False), NORMAL), ((False, True), FULL), ((True, False), FULL), ((True, True), FULL)],
)
def test_a_group_goes_to_the_disk_if_any_of_it_has_to(path: Path, synced: tuple[bool, ...], expected: int) -> None:
    with ChatStore(path) as store:
        committer = store._open().committer
        group = [Pending(_synchronous, one) for one in synced]
        with committer._lead:
            assert committer._writer.commit(group)
        assert [pending.result() for pending in group] == [expected] * 2


@pytest.mark.parametrize(
    ("durability", "unfinished", "finished"),
    [("token", NORMAL, NORMAL), ("message", NORMAL, FULL), ("full", FULL, FULL)],
)
def test_the_durability_says_which_commits_go_to_the_disk(
    path: Path, durability: Durability, unfinished: int, finished: int
) -> None:
    with ChatStore(path, durability=durability) as store:
        committer = store._open().committer
        assert committer.run(_synchronous) == finished
        assert committer.run(_synchronous, synced=False) == unfinished


def test_what_is_written_during_a_commit_is_committed_next(path: Path) -> None:
    with ChatStore(path) as store:
        committer, answers = store._open().committer, list[str]()
        other = threading.Thread(target=lambda: answers.append(committer.run(lambda _: "second")), daemon=True)

        def write(_: Transaction) -> str:
            other.start()
            while len(committer._waiting) < 2:
                other.join(0.001)
            return "first"

        answers.append(committer.run(write))
        other.join(20)
        assert sorted(answers) == ["first", "second"]
        assert not committer._waiting


def test_what_was_withdrawn_before_its_turn_is_not_written(path: Path) -> None:
    written: list[str] = []
    with ChatStore(path) as store:
        committer = store._open().committer
        group = [Pending(lambda _, name=name: written.append(name), synced=True) for name in ("gone", "kept")]
        with committer._lead:
            for pending in group:
                committer._waiting.append(pending)
            group[0].withdrawn = True
            committer._commit_waiting()
        assert written == ["kept"]
        assert not committer._waiting


class Closing(deque[Pending[Any]]):
    """A queue whose committer closes at the moment in which a write is put into it."""

    def __init__(self, committer: Committer, *, before: bool) -> None:
        super().__init__()
        self.committer, self.before = committer, before

    def append(self, pending: Pending[Any]) -> None:
        if self.before:
            self.committer.close()
        super().append(pending)
        self.committer.close()


@pytest.mark.parametrize("before", [False, True], ids=["stored", "refused"])
@pytest.mark.parametrize("together", [False, True], ids=["run", "run_all"])
def test_a_write_that_comes_while_the_store_closes_is_stored_and_answered_or_neither(
    path: Path, before: bool, together: bool
) -> None:
    written: list[str] = []

    def write(_: Transaction) -> None:
        written.append("one")

    with ChatStore(path) as store:
        committer = store._open().committer
        committer._waiting = Closing(committer, before=before)
        with pytest.raises(StoreClosed) if before else nullcontext():
            if together:
                [error] = committer.run_all([(write, None)])
                if error is not None:
                    raise error
            else:
                committer.run(write)
        assert written == ([] if before else ["one"])


@pytest.mark.parametrize("before", [False, True], ids=["stored", "refused"])
async def test_on_an_event_loop_too(path: Path, before: bool) -> None:
    written: list[str] = []
    async with AsyncChatStore(path) as store:
        committer = (await store._open()).committer
        committer._waiting = Closing(committer, before=before)
        with pytest.raises(StoreClosed) if before else nullcontext():
            await committer.post(lambda _: written.append("one"))
        assert written == ([] if before else ["one"])
