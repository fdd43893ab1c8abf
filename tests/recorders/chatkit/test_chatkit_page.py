"""What the page and the example say is true."""

from pathlib import Path

import pytest
from chatkit.store import NotFoundError
from chatkit_things import metadata
from stores_page import printed, run_part


async def test_the_python_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = run_part("OpenAI ChatKit")
    async with names["store"]:
        await names["server"].store.save_thread(metadata(), {"user_id": "u1"})
        assert await names["history"].count() == 1
        with pytest.raises(NotFoundError):
            await names["kit"].load_thread("thr_1", {"user_id": "u2"})


def test_the_example_prints_what_it_stored(path: Path) -> None:
    lines = printed("chatkit_server.py", path)
    assert [line.split()[1] for line in lines[:-2]] == [
        *("thread", "message", "function_call", "function_result", "message", "thread")
    ]
    assert lines[-2:] == ["u1 has ['The time']", "u2 has []"]
