"""What a writer under load tries: appends of every form, one in ten of which has to fail.

An attempt is a call on a history of either face: whoever performs it awaits the outcome where it can be awaited.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from chatstore import BlockDraft, ChatStoreError, Tag

# Triggers of the database itself: one fails its statement, the other ends the whole transaction of a group.
TRIGGERS = (
    "CREATE TRIGGER refuse BEFORE INSERT ON blocks WHEN NEW.author = 'abort'"
    " BEGIN SELECT RAISE(ABORT, 'refused by a trigger'); END",
    "CREATE TRIGGER break BEFORE INSERT ON blocks WHEN NEW.author = 'rollback'"
    " BEGIN SELECT RAISE(ROLLBACK, 'rolled back by a trigger'); END",
)
FAILURES = ("key_conflict", "conflict", "invalid_data", "block_not_found", "abort", "rollback")
AUTHORS = ("planner", "researcher", "critic", None)
NOBODY = "0190a2c0-0000-7000-8000-000000000000"

Call = Callable[[Any], Any]


@dataclass(slots=True)
class Attempt:
    """A call, the context it goes to, the error code it has to raise or None, and what came of it."""

    context: str
    call: Call
    code: str | None = None
    texts: list[str] = field(default_factory=list)
    outcome: dict[str, Any] = field(default_factory=dict)

    def record(self, begun: int, result: Any = None, error: ChatStoreError | None = None) -> dict[str, Any]:
        """What the test is told of it."""
        blocks = [] if result is None else result if isinstance(result, list) else [result]
        stored = [(block.index, block.id, block.text) for block in blocks]
        self.outcome = {"blocks": stored, "cursor": blocks[-1].cursor if blocks else None}
        got = None if error is None else error.code
        times = {"begun": begun, "ended": time.monotonic_ns()}
        return {
            "context": self.context,
            "texts": self.texts,
            "stored": stored,
            "wanted": self.code,
            "got": got,
            **times,
        }


class Plan:
    """One writer's attempts; every one is made when its turn comes, from what was stored before."""

    def __init__(self, writer: str, contexts: list[str], seed: int) -> None:
        self.writer = writer
        self.contexts = contexts
        self.random = random.Random(seed)
        self.number = 0
        self._keyed: list[tuple[Attempt, str, str]] = []
        self._stored: list[Attempt] = []

    def attempts(self, count: int) -> Iterator[Attempt]:
        """So many attempts, each tenth a failing one."""
        for self.number in range(count):
            attempt = self._failing() if self.number % 10 == 9 else self._next()
            yield attempt

    def _next(self) -> Attempt:
        context = self.random.choice(self.contexts)
        form = self.random.choices((self._single, self._batch, self._keyed_one, self._repeated), (70, 10, 15, 5))[0]
        attempt = form(context)
        self._stored = [*self._stored[-20:], attempt]
        return attempt

    def _text(self, part: int = 0) -> str:
        return f"{self.writer} says {self.number}.{part} – {'ö🙂x' * self.random.randrange(20)}"

    def _draft(self, text: str) -> BlockDraft:
        type, role = self.random.choice(
            (("message", "user"), ("message", "assistant"), ("message", "system"), ("status", None), ("note", None))
        )
        tags = (Tag(kind="shift", name=self.random.choice("ab"), value=self.number),) if self.number % 3 == 0 else ()
        author, internal = self.random.choice(AUTHORS), self.random.random() < 0.1
        run = self.random.choice(("run-1", "run-2", None))
        return BlockDraft(type=type, role=role, text=text, tags=tags, author=author, internal=internal, run_id=run)

    def _single(self, context: str) -> Attempt:
        text = self._text()
        draft = self._draft(text)
        return Attempt(context, lambda history: history.append(draft), texts=[text])

    def _batch(self, context: str) -> Attempt:
        texts = [self._text(part) for part in range(self.random.randint(2, 5))]
        drafts = [self._draft(text) for text in texts]
        return Attempt(context, lambda history: history.append(drafts), texts=texts)

    def _keyed_one(self, context: str) -> Attempt:
        text, key = self._text(), f"{self.writer}-{self.number}"
        attempt = Attempt(context, lambda history: history.append_user_message(text, key=key), texts=[text])
        self._keyed.append((attempt, key, text))
        return attempt

    def _repeated(self, context: str) -> Attempt:
        if not self._keyed:
            return self._keyed_one(context)
        first, key, text = self.random.choice(self._keyed)
        return Attempt(first.context, lambda history: history.append_user_message(text, key=key), texts=[text])

    def _failing(self) -> Attempt:
        code = self.random.choice(FAILURES)
        text, context = f"never: {self._text()}", self.random.choice(self.contexts)
        if code == "key_conflict" and (done := [entry for entry in self._keyed if entry[0].outcome.get("blocks")]):
            first, key, _ = self.random.choice(done)
            return Attempt(first.context, lambda history: history.append_user_message(text, key=key), code)
        if code == "conflict" and (stale := self._stale()):
            return Attempt(stale[0], lambda history: history.append_status_message(text, expect=stale[1]), code)
        if code == "block_not_found":
            drafts = [self._draft(text), BlockDraft(text=text, parent=NOBODY)]
            return Attempt(context, lambda history: history.append(drafts), code)
        if code in ("abort", "rollback"):
            poisoned = [self._draft(text), BlockDraft(text=text, author=code), self._draft(text)]
            return Attempt(context, lambda history: history.append(poisoned), "storage_error")
        return Attempt(context, lambda history: history.append_user_message(text, data=[float("nan")]), "invalid_data")

    def _stale(self) -> tuple[str, str] | None:
        """A context and a cursor in it after which this writer itself stored something since."""
        newest: dict[str, str] = {}
        for attempt in self._stored:
            if cursor := attempt.outcome.get("cursor"):
                newest[attempt.context] = max(cursor, newest.get(attempt.context, ""))
        for attempt in self._stored:
            cursor = attempt.outcome.get("cursor")
            if cursor and cursor < newest[attempt.context]:
                return attempt.context, cursor
        return None
