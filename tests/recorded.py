"""What tests of recorders of agents share: a process that follows, a process that writes and is killed, and what was
stored."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from chatstore import Block, ChatStore, Run

DEADLINE = 60.0
CONTEXT = "chat"
_FOLLOW = """
    import sys
    from chatstore import BlockAdded, ChatStore, TextAppended
    with ChatStore(sys.argv[1]) as store:
        print("ready", flush=True)
        for change in store.history("chat").subscribe(timeout=60):
            if isinstance(change, TextAppended):
                print("text", repr(change.text), flush=True)
            elif isinstance(change, BlockAdded):
                print("block", change.block.type, flush=True)
"""


class Process:
    """Another Python process, by what it prints. Killed at the end."""

    def __init__(self, code: str, *values: object, path: Path | None = None) -> None:
        places = [] if path is None else [str(path)]
        places += [place for place in [os.environ.get("PYTHONPATH")] if place]
        self._process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code), *map(str, values)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(places)},
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._text = ""

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def line(self) -> str:
        """The next line that it prints."""
        line = self._lines.get(timeout=DEADLINE)
        assert line is not None, "the process has ended"
        return line

    def reads(self, text: str) -> None:
        """Returns once the texts that it followed have this in them."""
        while text not in self._text:
            kind, _, value = self.line().partition(" ")
            if kind == "text":
                self._text += eval(value)

    def kill(self) -> None:
        """Ends it without a chance to do anything about it."""
        self._process.kill()
        self._process.wait(DEADLINE)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        self._reader.join(DEADLINE)
        assert self._process.stdout is not None
        self._process.stdout.close()


def follower(path: Path) -> Process:
    """A process that follows the context from its beginning."""
    process = Process(_FOLLOW, path)
    assert process.line() == "ready"
    return process


def ended(store: ChatStore) -> Run:
    """The one run of the context, once it has ended."""
    limit = time.monotonic() + DEADLINE
    history = store.history(CONTEXT)
    [run] = history.runs()
    for _ in history.subscribe(run=run.id, timeout=DEADLINE):
        assert time.monotonic() < limit
    return history.get_run(run.id)


def texts(blocks: list[Block], type: str) -> list[str]:
    """The texts of the blocks of a type."""
    return [block.text for block in blocks if block.type == type]


def shapes(blocks: list[Block]) -> list[tuple[str, str, str]]:
    """Type, state and text of each block."""
    return [(block.type, block.state, block.text) for block in blocks]


def usage_of(blocks: list[Block], *names: str) -> list[int]:
    """What all blocks together cost."""
    return [sum((block.usage or {}).get(name, 0) for block in blocks) for name in names]
