"""These tests run in an environment of their own, made from requirements.txt by `.ci/recorders`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from chatstore import ChatStore
from chatstore.cli import app

try:
    for package in ("openai-agents", "langchain-community", "autogen-agentchat", "ag-ui-protocol"):
        version(package)
except PackageNotFoundError:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatStore]:
    """The store that commands use by default."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CHATSTORE_STORE", raising=False)
    with ChatStore(tmp_path / "chatstore.db") as opened:
        yield opened


@pytest.fixture
def importing(store: ChatStore) -> Callable[..., Result]:
    """Runs `chatstore import` on the store."""
    return lambda *arguments: CliRunner().invoke(app, ["import", *map(str, arguments)])
