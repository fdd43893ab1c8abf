"""The second process of the demo: followed to its end, however it ends."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest

from chatstore import ChatStore
from chatstore.demo.agent import Agent
from chatstore.demo.process import AgentFailed, AgentProcess

pytestmark = pytest.mark.slow

APPENDS = """
import sys
from chatstore import ChatStore
with ChatStore(sys.argv[1]) as store:
    for number in range(500):
        store.history("c").append_user_message(str(number))
"""


def python(code: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", code, *arguments]


def test_what_was_written_right_before_the_end_is_seen(tmp_path: Path) -> None:
    path = str(tmp_path / "chat.db")
    with ChatStore(path) as store, AgentProcess(python(APPENDS, path)) as agent:
        texts = [change.block.text for change in agent.changes(store.history("c"))]
        agent.check()
    assert texts == [str(number) for number in range(500)]


def test_a_process_that_does_not_end_is_ended_at_the_deadline(tmp_path: Path) -> None:
    forever = python("import threading; threading.Event().wait()")
    with ChatStore(tmp_path / "chat.db") as store, AgentProcess(forever, deadline=0.2) as agent:
        assert list(agent.changes(store.history("c"))) == []
        with pytest.raises(AgentFailed, match=r"was not done after 0\.2 s and was ended"):
            agent.check()


def test_a_process_that_fails_is_reported_with_its_last_words(tmp_path: Path) -> None:
    failing = python("raise OSError('no space left')")
    with ChatStore(tmp_path / "chat.db") as store, AgentProcess(failing) as agent:
        assert list(agent.changes(store.history("c"))) == []
        with pytest.raises(AgentFailed, match=r"ended with exit code 1: OSError: no space left$"):
            agent.check()


@pytest.mark.skipif(sys.platform == "win32", reason="signal 0 asks about a process on POSIX only")
def test_leaving_it_early_leaves_no_process_and_no_thread(tmp_path: Path) -> None:
    path = str(tmp_path / "chat.db")
    before = threading.active_count()
    with ChatStore(path) as store:
        with AgentProcess(python(f"{APPENDS}\nimport threading; threading.Event().wait()", path)) as agent:
            next(agent.changes(store.history("c")))
        with pytest.raises(ProcessLookupError):
            os.kill(agent.id, 0)
    assert threading.active_count() == before


def test_a_tool_that_fails_gives_a_result_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("def (:\n")
    with ChatStore(tmp_path / "chat.db") as store:
        history = store.history("c")
        Agent(history, str(tmp_path), pace=0).run()
        (failed,) = (block for block in history.get_messages(types=["function_result"]) if block.data["is_error"])
        assert failed.text.startswith("SyntaxError: ")
        assert history.get_block(str(failed.parent_id)).data["name"] == "longest_function"
