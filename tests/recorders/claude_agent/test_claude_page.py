"""What the page and the example say is true."""

from functools import partial
from importlib import import_module
from pathlib import Path

import pytest
from claude_frames import PARTIALS, ScriptedTransport
from stores_page import printed, run_part

from chatstore import ChatStore, MissingExtra


async def test_the_python_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = run_part("Claude Agent SDK")
    names["query"] = partial(names["query"], transport=ScriptedTransport(PARTIALS))
    await names["answer"]("What is the weather in Paris?")
    with ChatStore("chat.db") as store:
        assert store.history({"user": "u1"}).get_messages(kind="transcript")[-1].text == "It is 18 degrees."


def test_the_example_prints_what_it_stored(path: Path) -> None:
    assert printed("session_claude_agent.py", path) == [
        "the person sees: ['What is 1 + 3?', 'It is 4.']",
        "the runs are ['completed']",
        "to resume from: ['u1', 'u2']",
        "  0 message    user       'What is 1 + 3?'",
        "  1 message    assistant  'It is 4.'",
    ]


def test_a_store_of_a_framework_that_is_not_there_says_what_to_install() -> None:
    with pytest.raises(MissingExtra, match=r"pip install 'chatstore\[chatkit\]'"):
        import_module("chatstore.recorders.chatkit")
