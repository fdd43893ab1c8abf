"""Every public read is served by an index: SQLite's own plan of every statement that a read really runs.

The statements are taken from the driver while the reads run, with their values, on a store of several histories.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.pool import Pool

from chatstore import Block, BlockDraft, ChatStore, History, Part, Tag
from chatstore.operations import leases, places

BLOCKS = 1_500
TYPES = ["message", "message", "status", "function_call", "function_result", "reasoning"]
ROLES = ["user", "assistant", "system", "tool", None]

FILTERS: dict[str, Any] = {
    "types": ["status"],
    "roles": ["user"],
    "authors": ["agent-1"],
    "states": ["failed"],
    "tags": [("topic", "rare")],
    "run": "run-3",
}
SEVERAL: dict[str, Any] = {
    "types": ["status", "reasoning"],
    "roles": ["user", "tool"],
    "authors": ["agent-1", "agent-2"],
    "states": ["failed", "open"],
    "tags": [("topic", "rare"), ("topic", "common")],
}
KINDS = ("transcript", "prompt", "trace")


class Spy:
    """Gathers the plan of each statement as it runs."""

    def __init__(self, path: Path) -> None:
        self._plans = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._seen: list[str] = []

    def listen(self, connection: sqlite3.Connection, _record: object, _proxy: object) -> None:
        connection.set_trace_callback(self._seen.append)

    def plans(self, read: Callable[[], object]) -> dict[str, list[str]]:
        """The plan of each statement that a read runs, by its text with the values in it."""
        self._seen.clear()
        read()
        looks_up = ("SELECT", "WITH", "UPDATE", "DELETE")
        statements = [text for text in self._seen if text.lstrip().upper().startswith(looks_up)]
        assert statements, "the read ran no statement"
        return {text: self._plan(text) for text in statements}

    def close(self) -> None:
        self._plans.close()

    def _plan(self, statement: str) -> list[str]:
        return [row[3] for row in self._plans.execute(f"EXPLAIN QUERY PLAN {statement}")]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of three histories of some thousand blocks, and many small ones."""
    path = tmp_path_factory.mktemp("explain") / "chat.db"
    with ChatStore(path) as store:
        for name in ("a", "b", "c"):
            history = store.history(name)
            blocks = history.append([_draft(place) for place in range(BLOCKS)])
            for block in blocks[::100]:
                history.tag(block, Tag(kind="late", name="tag"))
            for _ in range(20):
                with history.run(), history.open_message() as block:
                    for word in ("some ", "words ", "that ", "grow"):
                        block.write(word)
                        block.flush()
            history.append_user_message("blob", parts=[Part(type="file", content=name.encode())], key="k")
        for number in range(200):
            small = store.history({"user": f"u{number % 5}", "n": str(number)})
            small.append_user_message("x")
            small.tag_context(Tag(kind="state", name="open" if number % 2 else "done"))
    return path


@pytest.fixture
def spy(filled: Path) -> Iterator[Spy]:
    watching = Spy(filled)
    event.listen(Pool, "checkout", watching.listen)
    yield watching
    event.remove(Pool, "checkout", watching.listen)
    watching.close()


@pytest.fixture
def opened(filled: Path, spy: Spy) -> Iterator[ChatStore]:
    with ChatStore(filled) as store:
        yield store


@pytest.fixture
def history(opened: ChatStore) -> History:
    return opened.history("b")


@pytest.fixture
def middle(history: History) -> Block:
    return history.get_messages(last=BLOCKS // 2)[0]


def _draft(place: int) -> BlockDraft:
    tags = [("topic", "common")] if place % 2 else [("topic", "common"), ("topic", "rare")] * (place % 50 == 0)
    return BlockDraft(
        type=TYPES[place % len(TYPES)],
        role=ROLES[place % len(ROLES)],
        author=None if place % 3 else f"agent-{place % 7}",
        run_id=None if place % 2 else f"run-{place // 100}",
        text=f"text {place}",
        tags=tuple(Tag(kind=kind, name=name) for kind, name in tags),
        internal=place % 11 == 0,
    )


def _ranges(middle: Block) -> dict[str, dict[str, Any]]:
    return {
        "all": {},
        "last": {"last": 50},
        "limit": {"limit": 50},
        "after": {"after": middle.cursor},
        "before": {"before": middle.cursor, "last": 50},
        "between": {"after": middle.cursor, "before": middle.cursor, "limit": 5},
    }


def _filters() -> Iterator[dict[str, Any]]:
    for chosen in (FILTERS, SEVERAL):
        for size in (0, 1, 2, len(chosen)):
            yield from ({name: chosen[name] for name in names} for names in combinations(chosen, size))
    yield {"states": ["closed"]}
    yield {"states": ["closed", "failed"]}


def _check(plans: dict[str, list[str]]) -> None:
    for statement, plan in plans.items():
        if "WHERE 0 = 1" in statement:  # nothing is asked for, and SQLite looks at nothing
            continue
        assert not _scans(plan), f"{_scans(plan)}\n{statement}\n{plan}"


def _scans(plan: list[str]) -> list[str]:
    """The steps that read a whole table, or a whole index without looking anything up in it."""
    # The rows that a step of the same plan has already found are gone through without an index.
    found = {step.split()[1] for step in plan if step.startswith(("CO-ROUTINE", "MATERIALIZE"))}
    found.add("leases")  # a row for each living process, and all of them are looked at
    scanned = [step for step in plan if step.startswith("SCAN") and step.split()[1] not in found]
    return [step for step in plan if "AUTOMATIC" in step] + [step for step in scanned if "CONSTANT ROW" not in step]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_and_filter_and_range_of_blocks_is_searched_by_an_index(
    history: History, middle: Block, spy: Spy, kind: str
) -> None:
    for filters in _filters():
        for wanted in _ranges(middle).values():
            _check(spy.plans(lambda w=wanted, f=filters: history.get_messages(kind=kind, **w, **f)))


@pytest.mark.parametrize("kind", KINDS)
def test_counts_and_what_came_since_the_user_are_searched_by_an_index(history: History, spy: Spy, kind: str) -> None:
    for filters in _filters():
        _check(spy.plans(lambda f=filters: history.count(kind=kind, **f)))
        _check(spy.plans(lambda f=filters: history.since_last_user_message(kind=kind, **f)))


@pytest.mark.parametrize("kind", KINDS)
def test_catching_up_is_searched_by_an_index(history: History, middle: Block, spy: Spy, kind: str) -> None:
    for filters in _filters():
        for after in (None, middle.cursor):
            _check(spy.plans(lambda a=after, f=filters: list(history.subscribe(after=a, follow=False, kind=kind, **f))))


def test_single_things_are_searched_by_an_index(opened: ChatStore, history: History, middle: Block, spy: Spy) -> None:
    (with_bytes,) = history.get_messages(last=1)
    for read in (
        history.head,
        history.count,
        lambda: history.get_block(middle.id),
        lambda: opened.read_bytes(with_bytes.parts[0]),
        lambda: opened.history("absent").get_messages(),
    ):
        _check(spy.plans(read))


@pytest.mark.parametrize(
    "wanted",
    [
        {"limit": 10},
        {"keys": {"user": "u1"}},
        {"keys": {"user": "u1", "n": "6"}},
        {"tags": [("state", "open")]},
        {"keys": {"user": "u1"}, "tags": [("state", "open")]},
        {"keys": {"user": "u1"}, "limit": 5},
    ],
    ids=str,
)
@pytest.mark.parametrize("paged", [False, True])
def test_contexts_are_searched_by_an_index(opened: ChatStore, spy: Spy, wanted: dict[str, Any], paged: bool) -> None:
    after = opened.contexts(limit=100)[-1].context_id if paged else None
    for statement, plan in spy.plans(lambda: opened.contexts(after=after, **wanted)).items():
        # Without keys and tags the list is of every context: it walks the table in its own order, a page at a time.
        whole = not (wanted.keys() & {"keys", "tags"}) and not paged
        assert whole or not _scans(plan), f"{plan}\n{statement}"
        assert not any("TEMP B-TREE" in step for step in plan) or "tags" in wanted, f"{plan}\n{statement}"


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        ({"kind": "trace", "last": 50}, "PRIMARY|sqlite_autoindex_blocks_1|history_id=\\? AND index"),
        ({"types": ["status"], "last": 50}, "blocks_type"),
        ({"authors": ["agent-1"], "last": 50}, "blocks_author"),
        ({"run": "run-3", "last": 50}, "blocks_run_id"),
        ({"states": ["failed"], "last": 50}, "blocks_state"),
    ],
    ids=str,
)
def test_the_last_blocks_are_read_in_the_order_of_the_index_that_fits(
    history: History, spy: Spy, wanted: dict[str, Any], index: str
) -> None:
    plan = list(spy.plans(lambda: history.get_messages(**wanted)).values())[-1]
    assert not any("TEMP B-TREE" in step for step in plan), plan
    assert any(re.search(index, step) for step in plan), plan


@pytest.mark.parametrize(
    ("wanted", "speakers"),
    [
        ({"kind": "transcript", "last": 50}, 2),
        ({"kind": "transcript", "limit": 50}, 2),
        ({"kind": "prompt", "last": 50}, 8),
        ({"types": ["message"], "last": 50}, 10),
        ({"roles": ["user"], "last": 50}, 2),
        ({"roles": ["user", "tool"], "types": ["message", "status"], "limit": 50}, 4),
    ],
    ids=str,
)
def test_messages_are_read_by_who_says_them_each_in_the_order_of_the_index(
    history: History, spy: Spy, wanted: dict[str, Any], speakers: int
) -> None:
    plan = list(spy.plans(lambda: history.get_messages(**wanted)).values())[-1]
    read = [step for step in plan if "INDEX" in step and "PRIMARY" not in step and "autoindex" not in step]
    assert [step for step in read if "blocks_speaker" in step] == read[:speakers], plan
    assert all(re.search(r"\(history_id=\? AND (speaker|type|role)=\?", step) for step in read), plan
    # What is sorted is what the branches found, each no more than the limit.
    assert sum("TEMP B-TREE" in step for step in plan) <= 1, plan


@pytest.mark.parametrize("after", ["start", "middle"])
def test_an_unfiltered_page_of_the_log_is_read_in_order(history: History, middle: Block, spy: Spy, after: str) -> None:
    cursor = middle.cursor if after == "middle" else None
    for plan in spy.plans(lambda: list(history.subscribe(after=cursor, follow=False))).values():
        assert not any("TEMP B-TREE" in step for step in plan), plan


def test_what_an_append_looks_up_is_searched_by_an_index(opened: ChatStore, spy: Spy, middle: Block) -> None:
    history = opened.history("b")
    _check(
        spy.plans(
            lambda: history.append_user_message(
                "x", parent=middle, key="new", expect=history.head(), parts=[Part(type="file", content=b"new")]
            )
        )
    )
    _check(spy.plans(lambda: history.tag(middle, Tag(kind="k", name="n"))))
    _check(spy.plans(lambda: history.set_usage(middle, {})))


def test_what_other_processes_wrote_is_searched_by_an_index(opened: ChatStore, spy: Spy) -> None:
    _check(spy.plans(lambda: opened._read(places.newest)))
    _check(spy.plans(lambda: opened._read(partial(places.moved, position=BLOCKS))))


def test_a_block_that_grows_is_searched_by_an_index(opened: ChatStore, history: History, spy: Spy) -> None:
    block = history.open_message(author="a")

    def grow() -> None:
        block.write("text")
        block.flush()

    _check(spy.plans(grow))
    for read in (
        lambda: history.get_messages(last=5),
        lambda: history.get_messages(states=["open"]),
        lambda: history.get_block(block.block.id),
        lambda: list(history.subscribe(follow=False)),
        lambda: list(history.subscribe(follow=False, kind="transcript", authors=["a"])),
        lambda: history.read_block(block.block.id),
    ):
        _check(spy.plans(read))
    _check(spy.plans(block.close))


def test_runs_are_searched_by_an_index(opened: ChatStore, history: History, spy: Spy) -> None:
    def work() -> None:
        with history.run(), opened.history("a").run(), history.open_message() as block:
            block.write("text")

    def cancel() -> None:
        with history.run() as run:
            history.cancel_run(run.id)
            assert history.get_run(run.id).state == "cancelled"
            run._leave()

    _check(spy.plans(work))
    (run, *_) = history.runs()
    for read in (
        history.runs,
        lambda: history.get_run(run.id),
        lambda: history.cancel_run(run.id),
        lambda: list(history.subscribe(run=run.id)),
        lambda: opened.submit(lambda history, prompt: None, "x", context="b").wait(),
    ):
        _check(spy.plans(read))


@pytest.mark.parametrize("wanted", [{}, {"keys": {"user": "u1"}}, {"tags": [("state", "open")]}], ids=str)
@pytest.mark.parametrize(
    "filters",
    [{}, {"kind": "transcript"}, {"types": ["status"]}, {"authors": ["agent-1"]}, {"states": ["open"]}],
    ids=str,
)
def test_the_log_of_the_store_is_searched_by_an_index(
    opened: ChatStore, spy: Spy, wanted: dict[str, Any], filters: dict[str, Any]
) -> None:
    with opened.subscribe(after="now") as subscription:
        end = subscription.cursor
    for after in (None, end):
        _check(spy.plans(lambda a=after: list(opened.subscribe(after=a, follow=False, **wanted, **filters))))


def test_a_step_of_compaction_is_searched_by_an_index(opened: ChatStore, history: History, spy: Spy) -> None:
    with history.open_message() as block:
        block.write("text")
        block.flush()
    _check(spy.plans(lambda: opened.compact(older_than=3600)))
    _check(spy.plans(opened.compact))


def test_leases_are_searched_by_an_index(opened: ChatStore, history: History, spy: Spy) -> None:
    for _ in range(3):
        history.open_message()
        history.run().__enter__()._leave()
    held = opened._core.lease.id if opened._core else None
    assert held is not None
    for write in (leases.renew, leases.drop):
        _check(spy.plans(lambda w=write: opened._write(partial(w, lease_id=held), None)))
    _check(spy.plans(lambda: leases.take_away(lambda write: opened._write(write, None), held)))
    assert history.get_messages(last=1)[0].state == "interrupted"
