"""However a process ends without closing its store, it ends soon, and nothing that it was told is stored is lost."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from data_support import report

from chatstore import ChatStore
from faults import processes
from faults.endings import WAYS

SECONDS = 2.0


def end(path: Path, way: str) -> tuple[int, float, list[Any], str]:
    """Has a process end; its exit code, seconds since it was told to, what it said, what it complained of."""
    process = processes.start("endings", path=path, way=way)
    assert process.stdout is not None and process.stdin is not None and process.stderr is not None
    said = []
    while (line := process.stdout.readline()) and (answer := json.loads(line)) != "ready":
        said.append(answer)
    assert line, process.stderr.read()
    too_late = threading.Timer(60, process.kill)
    too_late.start()
    told = time.monotonic()
    process.stdin.write("end\n")
    process.stdin.close()
    rest = [json.loads(line) for line in process.stdout]
    code = process.wait()
    seconds = time.monotonic() - told
    too_late.cancel()
    too_late.join()
    with process.stdout, process.stderr:
        return code, seconds, [*said, *rest], process.stderr.read()


@pytest.mark.slow
@pytest.mark.timed
@pytest.mark.parametrize("way", WAYS)
def test_a_process_that_never_closes_its_store_ends_soon_and_loses_nothing(path: Path, way: str) -> None:
    code, seconds, said, errors = end(path, way)
    report(f"{way}: {seconds:.2f} s, {len(said)} acknowledgements")
    assert code == WAYS[way], errors
    assert seconds < SECONDS
    with ChatStore(path) as store:
        for name in ("a", "b", "child"):
            blocks = store.history(name).get_messages()
            assert [block.index for block in blocks] == list(range(len(blocks)))
            assert not [block for block in blocks if block.state == "open"], "a block stayed open"
            assert not [run for run in store.history(name).runs() if run.state == "running"], "a run went on"
        texts = {
            (block.index, block.text) for name in ("a", "b", "child") for block in store.history(name).get_messages()
        }
    for index, text in (answer["stored"] for answer in said):
        assert any(at == index and stored.startswith(text) for at, stored in texts), f"acknowledged and lost: {text}"
    with closing(sqlite3.connect(path)) as conn:
        assert conn.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
