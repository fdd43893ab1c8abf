"""Erasing and retention lock the rows that they remove, for one short step, and nothing of anybody else."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from functools import partial

import postgres_server
import psycopg
import pytest

from chatstore import BlockDraft, ChatStore, Retain, core
from chatstore.cursor import CursorFactory
from chatstore.databases import locate
from chatstore.databases.inspectors import inspector
from chatstore.databases.postgres.inspecting import ServerInspector
from chatstore.operations import erasing, retaining
from chatstore.operations.transaction import ContextRef, Transaction

pytestmark = pytest.mark.slow

HARMLESS = {"AccessShareLock", "RowShareLock", "RowExclusiveLock"}


@pytest.fixture
def url() -> Iterator[str]:
    made = postgres_server.new_store()
    with ChatStore(made) as store:
        for context in ("a", "b", "c"):
            history = store.history(context)
            history.append_user_message("x")
        for _ in range(3):
            store.history("b").append([_draft(number) for number in range(400)])
    yield made
    postgres_server.drop(made)


def _draft(number: int) -> BlockDraft:
    return BlockDraft(type="status", text=f"step {number}")


def _transaction(looking: ServerInspector) -> Transaction:
    return Transaction(looking.conn, partial(CursorFactory, "0" * 12), {})


def _locked(url: str) -> tuple[set[str], set[str]]:
    """The contexts whose rows somebody has locked, and the modes in which tables are locked."""
    with psycopg.connect(url) as conn:
        everything = conn.execute("SELECT context_id FROM chatstore.histories").fetchall()
        modes = conn.execute(
            "SELECT DISTINCT mode FROM pg_locks JOIN pg_stat_activity USING (pid)"
            " WHERE locktype = 'relation' AND pid <> pg_backend_pid()"
            " AND datname = current_database() AND backend_type = 'client backend'"
        )
        found = {mode for (mode,) in modes}
        free = conn.execute("SELECT context_id FROM chatstore.histories FOR UPDATE SKIP LOCKED").fetchall()
    return {name for (name,) in {*everything} - {*free}}, found


def _others_go_on(url: str) -> None:
    with ChatStore(url, busy_timeout=2) as store:
        for context in ("a", "c", "new"):
            added = store.history(context).append_user_message("meanwhile")
            assert store.history(context).get_messages(last=1) == [added]
        assert store.contexts()


def test_a_step_of_retention_holds_only_what_it_removes_from(url: str) -> None:
    with inspector(locate(url)) as looking, looking.transaction():
        assert isinstance(looking, ServerInspector)
        transaction = _transaction(looking)
        progress = retaining.step(transaction, retaining.Policy(blocks=100, since=None), 0)
        transaction.finish()
        assert progress.removed == retaining.BLOCKS
        locked, modes = _locked(url)
        assert (locked, modes - HARMLESS) == ({"b"}, set())
        _others_go_on(url)


def test_a_step_of_erasing_holds_only_what_is_erased(url: str) -> None:
    with inspector(locate(url)) as looking:
        assert isinstance(looking, ServerInspector)
        with looking.transaction():
            transaction = _transaction(looking)
            assert erasing.erase(transaction, ContextRef("b"))
            transaction.finish()
        with looking.transaction():
            assert erasing.purge(_transaction(looking).conn) is None
            locked, modes = _locked(url)
            assert len(locked) == 1 and not locked & {"a", "c"}
            assert not modes - HARMLESS
            _others_go_on(url)


def test_two_processes_that_erase_at_once_leave_nothing(url: str) -> None:
    with inspector(locate(url)) as one, psycopg.connect(url, autocommit=True) as looking:
        assert isinstance(one, ServerInspector)
        with one.transaction():
            transaction = _transaction(one)
            erasing.erase(transaction, ContextRef("b"))
            transaction.finish()
        while looking.execute("SELECT 1 FROM chatstore.blocks WHERE history_id = 2").fetchone():
            with one.transaction():
                erasing.purge(_transaction(one).conn)
        other = threading.Thread(target=_purge, args=(url,))
        with one.transaction():  # of the last table there is more than one step
            erasing.purge(_transaction(one).conn)
            other.start()
            deadline = time.monotonic() + 20
            while not looking.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone():
                assert time.monotonic() < deadline
        other.join(60)
        left = looking.execute("SELECT count(*) FROM chatstore.changes WHERE history_id = 2").fetchone()
    assert left == (1,)  # that it was erased


def _purge(url: str) -> None:
    with inspector(locate(url)) as looking:
        assert isinstance(looking, ServerInspector)
        more = True
        while more:
            with looking.transaction():
                more = erasing.purge(_transaction(looking).conn) is None


def test_what_is_pruned_of_many_histories_goes_in_few_tries(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "PRUNE_EVERY", 3_600.0)  # or else the store may do it by itself
    with ChatStore(url, retain=Retain(blocks=1)) as store:
        for number in range(150):
            store.history(f"many-{number}").append([_draft(0), _draft(1)])
        assert store.prune() == 150 + 1_200
        assert store.history("b").count() == 1
        assert not store.check().problems
