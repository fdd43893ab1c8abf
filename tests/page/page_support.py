"""A server, a writer and a network between them and a browser: each can be stopped at any moment."""

from __future__ import annotations

import json
import os
import queue
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from chatstore import Block, BlockDraft, ChatStore

if TYPE_CHECKING:
    from playwright.sync_api import Page

DEADLINE = 60.0
"""Seconds within which anything has to happen that is waited for."""

SECRET = "a secret of the tests, which is long enough"
_SOURCES = Path(__file__).parents[2]


def environment() -> dict[str, str]:
    """The environment of a process of ours: it imports from where this one does."""
    paths = [str(Path(path).resolve()) for path in sys.path]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "CHATSTORE_SECRET": SECRET}


class Lines:
    """The lines that a process prints, each waited for with a deadline."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._lines: queue.Queue[str | None] = queue.Queue()
        assert process.stdout is not None
        self._stream = process.stdout
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def next(self) -> str:
        """The next line."""
        line = self._lines.get(timeout=DEADLINE)
        assert line is not None, "the process ended"
        return line

    def close(self) -> None:
        """After the end of the process."""
        self._thread.join()
        self._stream.close()

    def _read(self) -> None:
        for line in self._stream:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)


class Process:
    """A Python process that is ended with the `with`."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-P", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        self.lines = Lines(self.process)

    def end(self, how: signal.Signals = signal.SIGKILL) -> None:
        """Ends it, and waits for that."""
        self.process.send_signal(how)
        self.process.wait(DEADLINE)
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        self.lines.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.returncode is None:
            self.end()


class Server:
    """`chatstore serve`, which can be restarted at the same port."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._process: Process | None = None
        self.port = 0
        self.link = ""

    def start(self) -> None:
        """Starts it; it takes requests when this returns."""
        self._process = Process("-m", "chatstore", "serve", str(self._path), "--port", str(self.port))
        try:
            self.link = self._process.lines.next()
        except BaseException:
            self.stop()
            raise
        found = re.search(r":(\d+)/\?token=", self.link)
        assert found, self.link
        self.port = int(found[1])

    def stop(self, how: signal.Signals = signal.SIGKILL) -> None:
        """Ends it at once, or as Ctrl-C does."""
        assert self._process is not None
        self._process.end(how)
        self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self.stop()


_WRITER = """
import json, sys
from chatstore import ChatStore, RunCancelled
with ChatStore(sys.argv[1]) as store:
    history, run, block = store.history(sys.argv[2]), None, None
    def do(name, *given):
        global run, block
        if name == "run":
            run = history.run()
            run.__enter__()
            return run.id
        if name == "end":
            return run.__exit__(None, None, None)
        if name == "open":
            block = history.open_message(author="writer")
            return block.__enter__() and None
        if name == "write":
            block.write(given[0])
            return block.flush()
        if name == "close":
            return block.__exit__(None, None, None)
        if name == "stream":  # on and on, until it is stopped
            while True:
                block.write(given[0])
        return getattr(getattr(history, name)(*given), "id", None)
    for line in sys.stdin:
        try:
            said = do(*json.loads(line))
        except RunCancelled as error:
            said = type(error).__name__
        print(json.dumps(said), flush=True)
"""


class Writer(Process):
    """An agent in another process, which does one thing at a time."""

    def __init__(self, path: Path, context_id: str) -> None:
        super().__init__("-c", _WRITER, str(path), context_id)

    def do(self, name: str, *given: Any) -> Any:
        """Has it do something, and waits until that is done."""
        self.begin(name, *given)
        return self.done()

    def begin(self, name: str, *given: Any) -> None:
        """Has it begin something."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([name, *given]) + "\n")
        self.process.stdin.flush()

    def done(self) -> Any:
        """What came of it."""
        return json.loads(self.lines.next())


class Network:
    """What lies between a browser and a server: it can be cut, and it can fall silent."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._silent: set[socket.socket] = set()
        self._cut = False
        self._over = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._relay, daemon=True)
        self._thread.start()

    def cut(self) -> None:
        """Breaks every connection; new ones break too, until it is mended."""
        with self._lock:
            self._cut = True

    def mend(self) -> None:
        """Lets new connections through again."""
        with self._lock:
            self._cut = False

    def fall_silent(self) -> None:
        """What is connected now stays so, and nothing comes through any more, as after a sleep."""
        with self._lock:
            self._silent = {one for pair in self._pairs for one in pair}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._over = True
        self._thread.join(DEADLINE)
        self._close([*self._pairs])
        self._listening.close()

    def _relay(self) -> None:
        while not self._over:
            with self._lock:
                if self._cut:
                    self._close([*self._pairs])
                heard = [one for pair in self._pairs for one in pair if one not in self._silent]
            for one in select.select([self._listening, *heard], [], [], 0.02)[0]:
                if one is self._listening:
                    self._connect()
                else:
                    self._pass_on(one)

    def _connect(self) -> None:
        client, _ = self._listening.accept()
        with self._lock:
            cut = self._cut
        try:
            if cut:
                raise ConnectionRefusedError
            server = socket.create_connection(("127.0.0.1", self._target), timeout=DEADLINE)
        except OSError:
            client.close()
            return
        self._pairs.append((client, server))

    def _pass_on(self, one: socket.socket) -> None:
        pair = next((pair for pair in self._pairs if one in pair), None)
        if pair is None:
            return
        try:
            data = one.recv(65_536)
            pair[pair[0] is one].sendall(data)
        except OSError:
            data = b""
        if not data:
            self._close([pair])

    def _close(self, pairs: list[tuple[socket.socket, socket.socket]]) -> None:
        for pair in pairs:
            self._pairs.remove(pair)
            for one in pair:
                self._silent.discard(one)
                one.close()


def messages(path: Path, context_id: str) -> list[Block]:
    """What the store holds of a conversation."""
    with ChatStore(path) as store:
        return store.history(context_id).get_messages()


def long_history(path: Path, count: int) -> list[str]:
    """A long conversation as people have them; the ids of its blocks."""
    with ChatStore(path) as store:
        history = store.history("long")
        said = "The answer of turn **{}** has `code`, a [link](https://a.example/) and some words. 🙂\n\n- one\n- two\n"
        drafts = []
        for turn in range(count // 4):
            drafts.append(BlockDraft(role="user", text=f"Question {turn}?"))
            drafts.append(BlockDraft(type="function_call", data={"name": "look", "arguments": {}}, text='{"at": 1}'))
            drafts.append(BlockDraft(type="status", text=f"Looking, turn {turn}"))
            drafts.append(BlockDraft(role="assistant", author="agent", text=said.format(turn) * (1 + turn % 3)))
        return [block.id for block in history.append(drafts)]


def pieces(words: int) -> Iterator[str]:
    """Text in pieces, of letters that take one, two, three and four bytes, and some of several code points."""
    some = ["word ", "é", "中", "🙂", "👩‍👩‍👧 ", "𝒳y ", "\n", "e\u0301 ", "\u200fשלום\u200e "]
    for number in range(words):
        yield f"{number}{some[number % len(some)]}"


TEXTS = """() => [...document.querySelectorAll('#flow article.is-message [data-text]')].map((one) => one.textContent)"""
"""The texts of the messages on the page. Those of rendered Markdown are not what is stored."""


def until(page: Page, function: str, wanted: object = True, *, meanwhile: Callable[[], None] | None = None) -> None:
    """Waits until a function gives something on the page. Its policy forbids what Playwright itself would wait with."""
    deadline = time.monotonic() + DEADLINE
    while (found := page.evaluate(function)) != wanted:
        assert time.monotonic() < deadline, f"{found!r} and not {wanted!r}"
        page.wait_for_timeout(20) if meanwhile is None else meanwhile()


def shows(page: Page, *texts: str, meanwhile: Callable[[], None] | None = None) -> None:
    """Waits until the messages on the page are these, to the letter."""
    until(page, TEXTS, [*texts], meanwhile=meanwhile)
