"""What the page and the example say is true."""

from pathlib import Path

import httpx
import pytest
from mcp_serving import Wire, serving
from stores_page import printed, run_part


async def test_the_python_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = run_part("Model Context Protocol")
    async with names["store"] as store, serving(names["app"]) as port, httpx.AsyncClient(timeout=30) as client:
        await Wire(client, f"http://127.0.0.1:{port}/mcp/").begin()
        assert len(await store.contexts()) == 1


def test_the_example_prints_what_it_stored(path: Path) -> None:
    lines = printed("mcp_server.py", path)
    assert lines[:4] == ["progress: so far 1", "progress: so far 3", "progress: so far 6", "result: the sum is 6"]
    assert sum(line.endswith("stream 2            notifications/progress") for line in lines) == 3
