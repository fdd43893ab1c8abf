"""Runs and threads: a run belongs to the thread that entered it, and to those that are given its context."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

from chatstore import ChatStore


def test_threads_have_runs_of_their_own(store: ChatStore) -> None:
    history = store.history("c")
    inside = threading.Barrier(4, timeout=30)

    def work(place: int) -> bool:
        with history.run() as run:
            inside.wait()
            stamped = {history.append_user_message(str(place)).run_id for _ in range(5)}
            inside.wait()
        return stamped == {run.id}

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(work, range(4)))
    assert history.append_user_message("outside").run_id is None
    assert [run.state for run in history.runs()] == ["completed"] * 4


def test_a_thread_started_inside_a_run_belongs_to_it_if_it_is_given_its_context(store: ChatStore) -> None:
    history = store.history("c")
    with ThreadPoolExecutor(1) as threads, history.run() as run:
        alone = threads.submit(history.append_user_message, "alone").result(30)
        given = threads.submit(copy_context().run, history.append_user_message, "given").result(30)
    assert (alone.run_id, given.run_id) == (None, run.id)


def test_one_writer_may_be_shared_by_threads(store: ChatStore) -> None:
    history = store.history("c")
    with ThreadPoolExecutor(4) as threads, history.open_message() as block:
        for done in [threads.submit(block.write, f"<{place}>") for place in range(400)]:
            done.result(30)
    (stored,) = history.get_messages()
    assert sorted(stored.text[1:-1].split("><"), key=int) == [str(place) for place in range(400)]
