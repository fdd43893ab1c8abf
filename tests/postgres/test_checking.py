"""`check()` of a store on a server: the same as of a file, beside those who write."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import postgres_server
import psycopg
import pytest

from chatstore import AsyncChatStore, ChatStore, Tag

DAMAGE = {
    "blocks": "UPDATE chatstore.blocks SET text = 'other' WHERE \"index\" = 1",
    "changes": "DELETE FROM chatstore.changes WHERE sequence = 1",
    "tags": "DELETE FROM chatstore.tags",
    "runs": "UPDATE chatstore.runs SET state = 'failed'",
    "histories": "UPDATE chatstore.histories SET count = count + 1",
}


@pytest.fixture
def url() -> Iterator[str]:
    made = postgres_server.new_store()
    with ChatStore(made) as store:
        for number in range(3):
            history = store.history(f"c{number}")
            with history.run():
                history.append_user_message("x\0", tags=[Tag(kind="k", name="n")])
                history.append_status_message("y")
    yield made
    postgres_server.drop(made)


async def test_a_sound_store_is_found_sound_by_both_faces(url: str) -> None:
    with ChatStore(url) as store:
        report = store.check()
    async with AsyncChatStore(url) as store:
        assert await store.check() == report
    assert (report.histories, report.blocks, report.changes, report.problems) == (3, 6, 12, ())


@pytest.mark.parametrize("table", DAMAGE)
def test_what_is_damaged_is_named(url: str, table: str) -> None:
    with psycopg.connect(url) as conn:
        conn.execute(DAMAGE[table])
    with ChatStore(url) as store:
        found = store.check().problems
    assert {problem.context_id for problem in found} == {"c0", "c1", "c2"}
    assert table in {problem.table for problem in found}


@pytest.mark.slow
def test_who_writes_meanwhile_is_not_taken_for_damage(url: str) -> None:
    stop = threading.Event()

    def write() -> None:
        with ChatStore(url) as store:
            while not stop.is_set():
                with store.history("c1").run(), store.history("c1").open_message() as answer:
                    answer.write("token ")

    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    try:
        with ChatStore(url) as store:
            reports = [store.check() for _ in range(10)]
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    assert [report.problems for report in reports] == [()] * 10
