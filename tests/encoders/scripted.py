"""A history that is written step by step: runs that overlap and are part of each other, blocks that grow at once."""

from __future__ import annotations

from contextvars import copy_context
from typing import Any

from hypothesis import strategies as st

from chatstore import BlockDraft, BlockWriter, History, RunScope, Tag

KINDS = ("message", "user", "system", "internal", "reasoning", "status", "function_call", "function_result", "plan")
_NUMBER = st.integers(0, 3)
_KIND = st.sampled_from(KINDS)

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("run"), st.booleans()),
        st.tuples(st.just("end"), _NUMBER, st.sampled_from(["completed", "failed", "cancelled"])),
        st.tuples(st.just("open"), _KIND, _NUMBER),
        st.tuples(st.just("write"), _NUMBER),
        st.tuples(st.just("write"), _NUMBER),
        st.tuples(st.just("write"), _NUMBER),
        st.tuples(st.just("close"), _NUMBER),
        st.tuples(st.just("add"), _KIND, _NUMBER),
        st.tuples(st.just("tag"), _NUMBER),
        st.tuples(st.just("read"), st.integers(0, 5)),
    ),
    min_size=10,
    max_size=40,
)


def options_of(kind: str) -> tuple[str, dict[str, Any]]:
    """The type and the other fields of a kind of block."""
    if kind == "internal":
        return "message", {"role": "assistant", "internal": True}
    if kind in ("user", "system"):
        return "message", {"role": kind}
    if kind == "function_call":
        return kind, {"role": "assistant", "data": {"name": "look", "call_id": "call_1"}}
    if kind == "function_result":
        return kind, {"role": "tool", "data": {"call_id": "call_1"}}
    return kind, {"role": "assistant" if kind in ("message", "reasoning") else None}


class Script:
    """Does steps on a history; those that have nothing to be done to do nothing."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.runs: list[RunScope] = []
        self.open: list[tuple[BlockWriter, str | None]] = []
        self._count = 0

    def step(self, what: str, *given: Any) -> None:
        getattr(self, "_" + what)(*given)

    def finish(self) -> None:
        """Ends all that is open."""
        for writer, _ in self.open:
            writer.close()
        while self.runs:
            self._end(0, "completed")

    def _read(self, _: int) -> None:
        pass

    def _run(self, part: bool) -> None:
        parent = self.runs[-1].id if part and self.runs else None
        scope = self.history.run(parent_run_id=parent)
        copy_context().run(scope.__enter__)
        self.runs.append(scope)

    def _end(self, n: int, how: str) -> None:
        if n >= len(self.runs):
            return
        scope = self.runs.pop(n)
        if how == "cancelled":
            self.history.cancel_run(scope.id)
            copy_context().run(scope.__exit__, ValueError, ValueError(), None)
        else:
            error = None if how == "completed" else ValueError("it broke")
            copy_context().run(scope.__exit__, error and ValueError, error, None)
        over = {run.id for run in self.history.runs() if run.state != "running"}
        self.runs = [run for run in self.runs if run.id not in over]
        self.open = [(writer, run) for writer, run in self.open if run not in over]

    def _open(self, kind: str, n: int) -> None:
        type, options = options_of(kind)
        run = self.runs[n].id if n < len(self.runs) else None
        self.open.append((self.history.open_block(type, run_id=run, **options), run))

    def _write(self, n: int) -> None:
        if n < len(self.open):
            self._count += 1
            self.open[n][0].write(f"{self._count} ")
            self.open[n][0].flush()

    def _close(self, n: int) -> None:
        if n < len(self.open):
            self.open.pop(n)[0].close()

    def _add(self, kind: str, n: int) -> None:

        type, options = options_of(kind)
        run = self.runs[n].id if n < len(self.runs) else None
        self._count += 1
        self.history.append(BlockDraft(type=type, run_id=run, text=f"whole {self._count}", **options))

    def _tag(self, n: int) -> None:

        blocks = self.history.get_messages(last=n + 1)
        if blocks:
            self.history.tag(blocks[0], Tag(kind="seen", name="yes"))
