"""Writes that are refused leave nothing half done, whatever refuses them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from chatstore import BlockNotFound, ChatStore, Conflict, History, KeyConflict, RunCancelled

DEEP = "[" * 100 + "]" * 100


def answer(history: History, prompt: str) -> str:
    return prompt


def test_arguments_that_are_nested_too_deep_for_data_end_as_none(store: ChatStore) -> None:
    history = store.history("a")
    with pytest.raises(RunCancelled), history.run() as run:
        block = history.open_block("function_call", data={"name": "f"})
        block.write(DEEP)
        assert history.cancel_run(run.id).state == "cancelled"
    stored = history.get_block(block.block.id)
    assert (stored.text, stored.state, stored.data) == (DEEP, "cancelled", {"name": "f", "arguments": None})


def test_a_store_opens_whatever_a_dead_process_left_open(path: Path) -> None:
    script = (
        "import os, sys\n"
        "from chatstore import ChatStore\n"
        "history = ChatStore(sys.argv[1]).history('a')\n"
        "block = history.open_block('function_call', data={'name': 'f'})\n"
        f"block.write({DEEP!r})\n"
        "block.flush()\n"
        "os._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", script, os.fspath(path)], check=True, timeout=60)
    with ChatStore(path) as store:
        [block] = store.history("a").get_messages()
    assert (block.state, block.text) == ("interrupted", DEEP)


def test_a_submission_may_expect_the_head(store: ChatStore) -> None:
    history = store.history("a")
    history.append_user_message("before")
    head = history.head()
    run = store.submit(answer, "now", context="a", expect=head).wait(20)
    assert run is not None and run.state == "completed"
    with pytest.raises(Conflict):
        store.submit(answer, "too late", context="a", expect=head)
    assert len(history.runs()) == 1


def test_a_submission_is_made_once_for_a_key(store: ChatStore) -> None:
    first = store.submit(answer, "prompt", context="a", key="k")
    first.wait(20)
    for prompt in ("prompt", "another"):
        with pytest.raises(KeyConflict):
            store.submit(answer, prompt, context="a", key="k")
    assert [run.id for run in store.history("a").runs()] == [first.run.id]


def test_a_refused_submission_leaves_no_run(store: ChatStore) -> None:
    other = store.history("other").append_user_message("elsewhere")
    with pytest.raises(BlockNotFound):
        store.submit(answer, "prompt", context="a", parent=other)
    assert store.history("a").runs() == []
