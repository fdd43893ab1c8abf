"""What the comparisons share: other processes that read, follow and die, and the same answer in a store of ours.

A test names a function of its own module, and it is called in a process of its own.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from chatstore import AsyncChatStore, BlockAdded, BlockClosed, ChatStore, RunCancelled, RunEnded, TextAppended

CONTEXT = "chat"
QUESTION = "What is the weather in Paris?"
TOKENS = ("It ", "is ", "18 ", "°C ", "in ", "Paris.")
PARTIAL = "It is 18 "
ANSWER = "".join(TOKENS)
WITHIN = 100.0
CALL = """
import importlib, json, sys, warnings
warnings.simplefilter("ignore")
module, name = sys.argv[1].split(":")
answer = getattr(importlib.import_module(module), name)(*json.loads(sys.argv[2]))
print(json.dumps(answer))
"""


def _process(function: str, *values: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CALL, function, json.dumps([*map(_plain, values)])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Path) else value


def elsewhere(function: str, *values: object) -> Any:
    """What `module:function` returns in another process."""
    with _process(function, *values) as process:
        out, errors = process.communicate(timeout=WITHIN)
    assert process.returncode == 0, errors
    return json.loads(out.splitlines()[-1])


def killed(function: str, *values: object) -> None:
    """Has `module:function` work in another process until it kills itself."""
    with _process(function, *values) as process:
        _, errors = process.communicate(timeout=WITHIN)
    assert process.returncode == -signal.SIGKILL, errors


def die() -> None:
    """The end of this process, without a word to anybody."""
    os.kill(os.getpid(), signal.SIGKILL)


def follow(path: str) -> None:
    """Prints what the person sees after each change, and how a run ended."""
    shown: dict[int, str] = {}
    with ChatStore(path) as store:
        for change in store.history(CONTEXT).subscribe(timeout=WITHIN / 2):
            ended = None
            match change:
                case BlockAdded() | BlockClosed():
                    shown[change.index] = change.block.text
                case TextAppended():
                    shown[change.index] = shown[change.index][: change.offset] + change.text
                case RunEnded():
                    ended = change.run.state
            print(json.dumps({"texts": [*shown.values()], "ended": ended}), flush=True)


class Follower:
    """Another process that follows the context of a store of ours."""

    def __init__(self, path: Path) -> None:
        self._process = _process("comparing:follow", path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.kill()
        self._process.communicate()

    def until(self, text: str) -> None:
        """Returns once its last block has this text."""
        self._read(lambda seen: seen["texts"][-1:] == [text])

    def ended(self) -> str:
        """How the run ended that it follows, once it did."""
        return str(self._read(lambda seen: seen["ended"] is not None)["ended"])

    def _read(self, found: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        assert self._process.stdout is not None and self._process.stderr is not None
        for line in self._process.stdout:
            seen: dict[str, Any] = json.loads(line) or {"texts": [], "ended": None}
            if found(seen):
                return seen
        raise AssertionError(f"it never came: {self._process.stderr.read()}")


def stored(path: Path | str) -> list[tuple[str, str, str]]:
    """Role, text and state of what a person sees in a store of ours."""
    with ChatStore(path) as store:
        blocks = store.history(CONTEXT).get_messages(kind="transcript")
        return [(str(block.role), block.text, block.state) for block in blocks]


def run_states(path: Path | str) -> list[str]:
    """How the runs of the context stand."""
    with ChatStore(path) as store:
        return [run.state for run in store.history(CONTEXT).runs()]


async def kept(
    path: Path | str, tokens: AsyncIterable[str], half_way: Callable[[], Awaitable[None]], *, stops: bool = True
) -> None:
    """Writes an answer to a store of ours as it comes. At `PARTIAL` it calls back, and then is stopped or goes on."""
    async with AsyncChatStore(path) as store:
        history = store.history(CONTEXT)
        await history.append_user_message(QUESTION)
        text = ""
        try:
            async with history.run() as run, history.open_message() as answer:
                async for token in tokens:
                    await answer.write(token)
                    text += token
                    if text == PARTIAL:
                        await answer.flush()
                        await half_way()
                        if stops:
                            await history.cancel_run(run.id)
        except RunCancelled:
            assert stops


async def as_they_come(tokens: Iterable[str]) -> AsyncIterable[str]:
    """Tokens of something that does not know of event loops."""
    for token in tokens:
        await asyncio.sleep(0)
        yield token


def public(subject: type) -> set[str]:
    """The names of its methods that are for everybody."""
    return {name for name, _ in inspect.getmembers(subject, callable) if not name.startswith("_")}


def iterating(subject: type) -> set[str]:
    """Those of them that give one thing after the other, which following needs."""
    found = (getattr(subject, name) for name in public(subject))
    return {one.__name__ for one in found if inspect.isgeneratorfunction(one) or inspect.isasyncgenfunction(one)}


def parameters(function: Callable[..., Any]) -> set[str]:
    """What it can be asked for."""
    return {*inspect.signature(function).parameters} - {"self"}
