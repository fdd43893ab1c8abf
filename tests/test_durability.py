"""Which commits are synced to the disk, by what SQLite is told before each of them begins."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.pool import Pool

from chatstore import AsyncChatStore, ChatStore, History, InvalidInput, Tag

LEVELS = ("PRAGMA synchronous=NORMAL", "PRAGMA synchronous=FULL")


class Commits:
    """Whether each commit was synced, of connections made from now on."""

    def __init__(self) -> None:
        self.synced: list[bool] = []

    def listen(self, connection: Any, _record: object) -> None:
        if isinstance(connection, sqlite3.Connection):  # the others only read
            level = LEVELS[0]

            def note(text: str) -> None:
                nonlocal level
                if text in LEVELS:
                    level = text
                elif text == "COMMIT":
                    self.synced.append(level == LEVELS[1])

            connection.set_trace_callback(note)


@pytest.fixture
def commits() -> Iterator[Commits]:
    noted = Commits()
    event.listen(Pool, "connect", noted.listen)
    yield noted
    event.remove(Pool, "connect", noted.listen)


def _append(history: History) -> None:
    history.append_user_message("text")


def _close(history: History) -> None:
    history.open_message().close()


def _grow(history: History) -> None:
    block = history.open_message()
    for piece in ("some ", "text"):
        block.write(piece)
        block.flush()


def _tag(history: History) -> None:
    history.tag(history.append_user_message("text"), Tag(kind="k", name="n"))


def _run(history: History) -> None:
    with history.run():
        pass


@pytest.mark.parametrize("durability", ["token", "message", "full"])
@pytest.mark.parametrize(
    ("act", "with_message"),
    [
        pytest.param(_append, [True], id="append"),
        pytest.param(_close, [False, True], id="open and close"),
        pytest.param(_grow, [False, False, False], id="open and grow"),
        pytest.param(_tag, [True, True], id="append and tag"),
        pytest.param(_run, [False, True], id="run"),
    ],
)
def test_a_commit_is_synced_by_what_it_stores(
    path: Path, commits: Commits, durability: Any, act: Callable[[History], None], with_message: list[bool]
) -> None:
    with ChatStore(path, durability=durability) as store:
        commits.synced.clear()  # a store is made whole and synced
        act(store.history("a"))
        done = [*commits.synced]  # what the close commits is another matter
    wanted = {"token": [False] * len(with_message), "message": with_message, "full": [True] * len(with_message)}
    assert done == wanted[durability]


@pytest.mark.parametrize(("durability", "synced"), [("token", False), ("message", True), ("full", True)])
async def test_the_same_for_an_event_loop(path: Path, commits: Commits, durability: Any, synced: bool) -> None:
    async with AsyncChatStore(path, durability=durability) as store:
        commits.synced.clear()
        await store.history("a").append_user_message("text")
        assert commits.synced == [synced]


def test_whole_messages_are_synced_unless_something_else_is_asked_for(path: Path, commits: Commits) -> None:
    with ChatStore(path) as store:
        commits.synced.clear()
        store.history("a").append_user_message("text")
        assert commits.synced == [True]


def test_stores_of_one_file_in_one_process_agree_on_it(path: Path) -> None:
    with ChatStore(path, durability="full"), pytest.raises(InvalidInput, match="durability='full'"):
        ChatStore(path)


def test_an_unknown_durability_is_refused(path: Path) -> None:
    with pytest.raises(InvalidInput, match="unknown durability 'fast'; it is one of token, message, full"):
        ChatStore(path, durability="fast")  # type: ignore[arg-type]


def test_a_durability_that_is_none_is_named_where_the_file_is_open_elsewhere_too(path: Path) -> None:
    with ChatStore(path), pytest.raises(InvalidInput, match="unknown durability 'ful'"):
        ChatStore(path, durability="ful")  # type: ignore[arg-type]
