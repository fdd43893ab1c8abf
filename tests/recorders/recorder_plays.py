"""Recordings as the promises of all recorders try them: of any events, in threads, event loops and other processes."""

from __future__ import annotations

import asyncio
import gc
import inspect
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import other_processes

from chatstore import AsyncChatStore, Block, ChatStore, Run
from chatstore.recorders import record

DEADLINE = 100.0
CONTEXT = "recorded"
FACES = ("sync", "async")
Hook = Callable[["Play"], Any]


@dataclass(frozen=True)
class Subject:
    """A run that a recorder is tried with.

    `maker`: `module:function` of its events, made in whatever process asks. `begun`: after how many of them `partial`
    is the text of the last block, which is open. `ends`: after how many the run is complete; all, by default.
    """

    maker: str
    begun: int
    partial: str
    ends: int = 0
    record: Callable[..., Any] = record

    def events(self) -> list[Any]:
        module, name = self.maker.split(":")
        made: list[Any] = getattr(import_module(module), name)()
        return made


@dataclass
class Play:
    """A recording, as the hooks of its source and its consumer see it."""

    history: Any
    events: list[Any] = field(default_factory=list)
    raised: BaseException | None = None
    closed: bool = False
    recording: Any = None
    run: Run | None = None
    blocks: list[Block] = field(default_factory=list)


class _Items:
    """A stream: events, hooks that run in its own code, and errors that it raises. It knows when it was closed."""

    def __init__(self, items: list[Any], play: Play) -> None:
        self.items, self.play = items, play

    def __iter__(self) -> Iterator[Any]:
        try:
            for item in self.items:
                if isinstance(item, BaseException):
                    raise item
                if isinstance(item, Inside):
                    item.hook(self.play)
                else:
                    yield item
        finally:
            self.play.closed = True


class _AsyncItems:
    def __init__(self, items: list[Any], play: Play) -> None:
        self.items, self.play = items, play

    async def __aiter__(self) -> AsyncIterator[Any]:
        try:
            for item in self.items:
                if isinstance(item, BaseException):
                    raise item
                if isinstance(item, Inside):
                    await _done(item.hook(self.play))
                else:
                    yield item
        finally:
            self.play.closed = True


@dataclass(frozen=True)
class Inside:
    """A hook in the code of a stream."""

    hook: Hook


async def _done(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


def play(
    face: str,
    path: Path,
    subject: Subject,
    items: list[Any],
    *,
    take: int = -1,
    each: Callable[[Play, int], Any] | None = None,
    **options: Any,
) -> Play:
    """Records a stream and reads it, `take` events at most; `each` is called by who reads, with the count so far."""
    if face == "async":
        return asyncio.run(_play_async(path, subject, items, take, each, options))
    with ChatStore(path) as store:
        play = Play(store.history(CONTEXT))
        play.recording = subject.record(_Items(items, play), play.history, **options)
        run_id = play.recording.run_id
        try:
            for event in play.recording:
                play.events.append(event)
                if each is not None:
                    each(play, len(play.events))
                if len(play.events) == take:
                    break
        except BaseException as error:
            play.raised = error
        play.recording = None  # as a loop that is left drops it
        gc.collect()
    return _with_rows(play, path, run_id)


async def _play_async(path: Path, subject: Subject, items: list[Any], take: int, each: Any, options: Any) -> Play:
    async with AsyncChatStore(path) as store:
        play = Play(store.history(CONTEXT))
        recording = play.recording = subject.record(_AsyncItems(items, play), play.history, **options)
        try:
            async for event in recording:
                play.events.append(event)
                if each is not None:
                    await _done(each(play, len(play.events)))
                if len(play.events) == take:
                    break
        except BaseException as error:
            play.raised = error
        await recording.aclose()
    return _with_rows(play, path, recording.run_id)


def _with_rows(play: Play, path: Path, run_id: str) -> Play:
    with ChatStore(path) as store:
        history = store.history(CONTEXT)
        play.run = next((run for run in history.runs() if run.id == run_id), None)
        play.blocks = history.get_messages(kind="trace")
    return play


def shape(blocks: list[Block]) -> list[Any]:
    """What two recordings of equal events have in common."""
    places = {block.id: block.index for block in blocks}
    return [
        (
            *(block.index, block.type, block.role, block.author, block.text, block.data, block.state, block.usage),
            *(block.internal, block.tags, [part.digest for part in block.parts], places.get(block.parent_id or "")),
        )
        for block in blocks
    ]


def cancel_elsewhere(play: Play, path: Path) -> None:
    """Cancels the run, by another process."""
    other_processes.run(
        """
        import sys
        from chatstore import ChatStore
        with ChatStore(sys.argv[1]) as store:
            store.history(sys.argv[2]).cancel_run(sys.argv[3])
        """,
        *(path, CONTEXT, play.recording.run_id),
    )


def hang(face: str, path: str, module: str, name: str, begun: str, recorder: str = "") -> None:
    """Records the beginning of a run, and then nothing comes any more. Run in a process that is to be killed."""
    place, _, function = recorder.partition(":")
    recording = getattr(import_module(place), function) if place else record
    subject = Subject(f"{module}:{name}", int(begun), "", record=recording)
    stuck = Inside(lambda _: time.sleep(10 * DEADLINE))
    with_stream = [*subject.events()[: subject.begun], stuck]
    play(face, Path(path), subject, with_stream)


def in_process(*arguments: str) -> subprocess.Popen[bytes]:
    """A process that runs `hang`, with the modules of the tests."""
    code = "import sys, recorder_plays; recorder_plays.hang(*sys.argv[1:])"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.Popen([sys.executable, "-c", code, *arguments], env=environment)


def text_of(changes: Any, wanted: str) -> str:
    """Follows until the last block that grows has this text; what it is then."""
    text = ""
    for change in changes:
        if hasattr(change, "block"):
            text = change.block.text
        elif hasattr(change, "offset"):
            text = text[: change.offset] + change.text
        if text == wanted:
            break
    return text
