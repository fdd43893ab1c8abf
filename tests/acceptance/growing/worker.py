"""A process that does with one history what it hears, line by line: [what, *arguments].

Each line is answered with what came of it, or {"error": its type}. A stream goes on in the background, and says
how it ended when it does.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from chatstore import Block, BlockWriter, ChatStore, ChatStoreError, History
from growing.processes import arguments, heard, say

WORD = "word {} "
_time_ns = time.time_ns


class Worker:
    """What can be asked of it; the run and the block that are open now."""

    def __init__(self, store: ChatStore, context_id: str) -> None:
        self.store = store
        self.history = store.history(context_id)
        self.scope: Any = None
        self.block: BlockWriter | None = None

    def start(self) -> list[str]:
        """Starts a run and opens a block in it."""
        self.scope = self.history.run().__enter__()
        self.block = self.history.open_message()
        return [self.scope.id, self.block.block.id]

    def write(self, text: str) -> None:
        assert self.block is not None
        self.block.write(text)
        self.block.flush()

    def note(self, text: str) -> str:
        """Appends a status; when, by this process's clock."""
        return self.history.append_status_message(text).created_at.isoformat()

    def set_clock(self, seconds: float) -> None:
        """Sets the clock of this process so many seconds off. The one that counts from its start does not jump."""
        time.time_ns = lambda: _time_ns() + round(seconds * 1e9)
        time.time = lambda: time.time_ns() / 1e9

    def follow(self) -> None:
        """Follows the history for as long as it lives; says each change."""
        threading.Thread(target=_follow, args=(self.history,), daemon=True).start()

    def end(self) -> str:
        """Ends block and run; the block's text."""
        assert self.block is not None
        block = self.block.close()
        self.scope.__exit__(None, None, None)
        return block.text

    def leave(self) -> None:
        """Leaves a run that is over, as an error that it was told of does."""
        self.scope._leave()

    def cancel(self, run_id: str) -> str:
        """Stops a run of any process."""
        return self.history.cancel_run(run_id).state

    def stream(self, pause: float) -> None:
        """Writes words until it is refused; says when each of the last writes began, and when it was refused."""
        assert self.block is not None
        threading.Thread(target=_stream, args=(self.block, pause)).start()

    def submit(self, pause: float) -> list[str]:
        """Submits an agent that writes two blocks side by side until it is stopped; says what was open at the end."""
        handle = self.store.submit(_agent, str(pause), context=self.history.context_id)
        threading.Thread(target=_wait, args=(self.history, handle)).start()
        return [handle.run.id, handle.cursor]


def _stream(block: BlockWriter, pause: float) -> None:
    began: list[float] = []
    try:
        while True:
            began.append(time.monotonic())
            block.write(WORD.format(len(began)))
            time.sleep(pause)
    except ChatStoreError as error:
        say({"error": type(error).__name__, "at": time.monotonic(), "began": began[-1000:], "words": len(began)})


def _follow(history: History) -> None:
    for change in history.subscribe():
        say([type(change).__name__, change.cursor])


def _agent(history: History, prompt: str) -> list[Block]:
    reasoning = history.open_block("reasoning")
    with history.run(), history.open_message(internal=True) as aside, history.open_message() as message:
        while True:
            for block in (reasoning, aside, message):
                block.write("word ")
            time.sleep(float(prompt))


def _wait(history: History, handle: Any) -> None:
    run = handle.wait(30)
    still_open = [block.type for block in history.get_messages(states=["open"])]
    say({"state": run and run.state, "open": still_open, "at": time.monotonic()})


def main() -> None:
    given = arguments()
    with ChatStore(given["path"], lease=given["lease"]) as store:
        worker = Worker(store, given["context"])
        say("ready")
        while line := heard():
            what, *rest = line
            try:
                say({"value": getattr(worker, what)(*rest), "at": time.monotonic()})
            except ChatStoreError as error:
                say({"error": type(error).__name__, "at": time.monotonic()})


if __name__ == "__main__":
    main()
