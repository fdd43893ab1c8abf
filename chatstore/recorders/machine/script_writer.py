"""Writing what a script says, for threads."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any

from chatstore.block_writer import BlockWriter
from chatstore.errors import ChatStoreError, RunCancelled
from chatstore.history import History
from chatstore.recorders.machine.course import Course
from chatstore.recorders.machine.options import RecordOptions
from chatstore.recorders.machine.pulling import Pull
from chatstore.recorders.machine.script import Begin, Finish, Grow, Key, Mark, Put, Script, Step
from chatstore.runs import Inside, RunScope


class ScriptWriter:
    """Writes the steps of a script into a history: one run, which it owns. What has no stream, such as callbacks, uses
    it directly: `begin`, `take` for each event, `end` with the error that it ended by or None. `begin`, `take` and
    `check` raise RunCancelled, and else nothing unless `strict`."""

    def __init__(self, script: Script[Any], history: History, options: RecordOptions) -> None:
        self.course: Course = Course(script, options)
        self.scope: RunScope = history.run(parent_run_id=options.get("parent_run_id"))
        self.inside: Inside = Inside(self.scope)
        self.pull: Pull = Pull(self, self.inside)
        self.history: History = history
        self._writers: dict[Key, BlockWriter] = {}
        self._begun = False
        self._entered = False
        self._ended = threading.Event()
        self._turn = threading.Lock()
        script.meet(self)

    def begin(self) -> None:
        """Starts the run, if it has not been started."""
        with self._turn:
            if not self._begun:
                self._begun = True
                self._begin()

    def _begin(self) -> None:
        try:
            with self.inside.not_yet():
                self.scope.__enter__()
            self._entered = True
            for step in self.course.first():
                self._do(step)
        except Exception as error:
            self._stop(error)
        if self.course.idle_limit is not None and not self.course.over:
            # Another thread, for this one is in the framework's `next` while nothing comes.
            threading.Thread(target=self._watch, name="chatstore-recording", daemon=True).start()

    def take(self, event: Any) -> None:
        """Records an event. Of several that come at once, one after the other."""
        with self._turn:
            self._take(event)

    def _take(self, event: Any) -> None:
        course = self.course
        if course.over:
            return
        course.hear()
        try:
            for step in course.script.read(event):
                self._do(step)
        except RunCancelled:
            raise
        except Exception as error:
            self._stop(error)

    def check(self) -> None:
        """Raises RunCancelled if somebody stopped the run, where there is nothing to write that would tell."""
        if self.course.over:
            return
        try:
            self.course.check(self.history.get_run(self.scope.id))
        except RunCancelled:
            raise
        except Exception as error:
            self._stop(error)

    def end(self, error: BaseException | None) -> None:
        """Ends the run, as what became of the stream says."""
        with self._turn:
            self._end(error)

    def _end(self, error: BaseException | None) -> None:
        if self.course.over:
            return
        self.course.over = True
        self._ended.set()
        ending = self.course.outcome(error)
        try:
            if ending is None:
                self._finish_all()
            if (spent := self.course.script.spent()) is not None:
                self.scope.set_usage(spent)
        except RunCancelled as cancelled:
            self._leave(cancelled)
            raise
        except Exception as problem:
            self._stop(problem)
            return
        self._leave(ending)

    def _finish_all(self) -> None:
        for step in self.course.script.finish():
            self._do(step)
        # What the events opened and did not end, the end of the stream does: the run is whole, and so is its text.
        for key in [*self._writers]:
            self._finish(Finish(key))

    def _stop(self, error: Exception) -> None:
        self.course.failed(error)
        with suppress(ChatStoreError):
            self._leave(error)
        if self.course.strict:
            raise error

    def _leave(self, error: BaseException | None) -> None:
        if not self._entered:
            return
        try:
            self.scope.__exit__(None if error is None else type(error), error, None)
        except ChatStoreError as problem:
            self.course.failed(problem)
            if self.course.strict:
                raise

    def _watch(self) -> None:
        while (left := self.course.left) > 0:
            if self._ended.wait(left):
                return
        self.end(self.course.idle())

    def _do(self, step: Step) -> None:
        if isinstance(step, Grow):
            self._writers[step.key].write(self.course.grew(step))
        elif isinstance(step, Begin):
            writer = self.history.open_block(**self.course.opening(step, self.scope.id))
            self._writers[step.key] = writer
            self.course.began(step, writer.block)
        elif isinstance(step, Finish):
            self._finish(step)
        elif isinstance(step, Put):
            self.course.began(step, self.history.append(self.course.draft(step, self.scope.id)))
        elif isinstance(step, Mark):
            self._mark(step)
        else:
            self.scope.set_usage(step.usage)

    def _mark(self, step: Mark) -> None:
        block = self.course.blocks.get(step.key)
        if block is not None and step.tags:
            self.history.tag(block, *step.tags)
        if block is not None and step.usage is not None:
            self.history.set_usage(block, dict(step.usage))

    def _finish(self, step: Finish) -> None:
        writer = self._writers.pop(step.key)
        rest, data = self.course.rest(step)
        if rest:
            writer.write(rest)
        if step.error is not None:
            writer.fail(step.error)
        else:
            writer.close(data=data, usage=step.usage)
