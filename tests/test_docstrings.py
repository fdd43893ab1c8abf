"""The examples in docstrings run, each in a store of its own."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest

import chatstore
from chatstore import AsyncChatStore, AsyncHistory, ChatStore

EXAMPLE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
WRITTEN_ONCE = {AsyncChatStore, AsyncHistory}
"""Their docstrings refer to those of the classes for threads."""


def documented() -> Iterator[tuple[str, object]]:
    """What is public, with its name: classes, functions, and methods of classes."""
    for name in chatstore.__all__:
        value = getattr(chatstore, name)
        yield name, value
        if inspect.isclass(value) and value not in WRITTEN_ONCE:
            yield from ((f"{name}.{own}", method) for own, method in vars(value).items() if callable(method))


def examples() -> Iterator[tuple[str, str]]:
    """Each example, with the name of what it is for."""
    for name, value in documented():
        for code in EXAMPLE.findall(dedent(inspect.getdoc(value) or "")):
            yield name, code


EXAMPLES = dict(examples())


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with ChatStore("before.db") as store:
        history = store.history("support-42")
        history.append_user_message("Hello")
        names = {one: getattr(chatstore, one) for one in chatstore.__all__}
        exec(compile(EXAMPLES[name], name, "exec"), {**names, "store": store, "history": history})


@pytest.mark.parametrize("called", [ChatStore, ChatStore.submit, ChatStore.subscribe])
def test_what_is_called_first_has_one(called: Callable[..., object]) -> None:
    assert called.__qualname__ in EXAMPLES
    assert {"History.append", "History.open_message", "History.run", "History.subscribe"} <= EXAMPLES.keys()
