"""The demo's agent: its part is written down, its tools do real work. Run as a process of its own."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Sequence
from typing import Any

from chatstore.demo.tools import TOOLS
from chatstore.history import History
from chatstore.model import Block, Tag
from chatstore.store import ChatStore

PACE = 0.06
"""Seconds between two steps, for the eyes of whoever watches; nothing else in the demo sleeps."""

TOKENS_A_STEP = 3
"""Tokens of an answer that are written in the time of a step."""

NAME = "code-reader"


class Agent:
    """Answers two questions about the Python files of a directory, and writes down all it does."""

    def __init__(self, history: History, directory: str, *, pace: float = PACE) -> None:
        self._history = history
        self._directory = directory
        self._pace = pace
        self._calls = 0

    def run(self) -> None:
        """The whole conversation."""
        with self._history.run():
            self._ask("Which Python files here are the largest, and what is the longest function in each?")
            self._answer(self._largest(), topic="size")
        with self._history.run():
            self._ask("And which modules do most of them import?")
            self._answer(self._imports(), topic="imports")

    def _largest(self) -> str:
        self._status("Looking for Python files")
        found = self._call("find_files")
        self._status(f"Counting the lines of {found['files']:,} files")
        largest = self._call("largest_files", count=3)
        longest = [self._call("longest_function", file=one["file"]) for one in largest]
        self._note("Sizes and functions are in; the answer can be written.")
        lines = [_about(one, function) for one, function in zip(largest, longest, strict=True)]
        return "\n".join(lines) or "There are none."

    def _imports(self) -> str:
        imported = self._call("count_imports", count=5)
        return ", ".join(f"{module} ({files} files)" for module, files in imported.items()) or "None."

    def _call(self, tool: str, **arguments: Any) -> Any:
        """Dispatches a call to its tool. The call, then the result or the error, become blocks."""
        self._calls += 1
        call_id = f"call_{self._calls}"
        self._wait()
        call = self._history.append_function_call(tool, arguments, call_id=call_id, author=NAME)
        try:
            result = TOOLS[tool](self._directory, **arguments)
        except (OSError, SyntaxError, ValueError, RecursionError) as error:
            return self._result(call, f"{type(error).__name__}: {error}", is_error=True)
        self._result(call, json.dumps(result))
        return result

    def _result(self, call: Block, text: str, *, is_error: bool = False) -> None:
        self._wait()
        self._history.append_function_result(text, call=call, is_error=is_error, author=NAME)

    def _ask(self, text: str) -> None:
        self._wait()
        self._history.append_user_message(text)

    def _status(self, text: str) -> None:
        self._wait()
        self._history.append_status_message(text, author=NAME)

    def _note(self, text: str) -> None:
        """What one agent says to another, and not to the person."""
        self._wait()
        self._history.append_assistant_message(text, author=NAME, internal=True)

    def _answer(self, text: str, *, topic: str) -> None:
        """Says a text token by token, as a model would."""
        self._wait()
        with self._history.open_message(author=NAME, tags=[Tag(kind="topic", name=topic)]) as block:
            for token in re.findall(r"\s*\S+", text):
                block.write(token)
                self._wait(steps=1 / TOKENS_A_STEP)

    def _wait(self, *, steps: float = 1) -> None:
        time.sleep(self._pace * steps)


def _about(file: dict[str, Any], function: dict[str, Any] | None) -> str:
    longest = "no function" if function is None else f"{function['function']} ({function['lines']:,} lines)"
    return f"{file['file']}: {file['lines']:,} lines; longest: {longest}"


def main(arguments: Sequence[str]) -> None:
    """Runs the agent on a store, a context and a directory, all given by name."""
    location, context_id, directory = arguments
    with ChatStore(location, create=False) as store:
        Agent(store.history(context_id), directory).run()


if __name__ == "__main__":
    main(sys.argv[1:])
