"""What the garbage collector ends. It comes at any moment, on any thread, and has whatever locks that thread has.

A generator that was dropped half-way, in a circle of references, is closed by it, and leaves there the `with` of its
open block or its run. What waits for a lock then may wait for its own thread, and for ever: so it waits on another.
"""

from __future__ import annotations

import gc
from _thread import start_new_thread
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import get_ident
from typing import Any, Final, TypeVar

from chatstore.errors import ChatStoreError, StoreBusy

T = TypeVar("T")

PATIENCE: Final = 1.0
"""Seconds for which the collector's thread waits for what may have to wait for that thread."""

_collecting: int | None = None


def _look(phase: str, info: dict[str, int]) -> None:
    global _collecting
    _collecting = get_ident() if phase == "start" else None


gc.callbacks.append(_look)


def finalizes() -> bool:
    """Whether the garbage collector has called what runs now, on this thread."""
    return get_ident() == _collecting


def apart(act: Callable[..., object], *args: object) -> bool:
    """Has something done on a thread of its own, if the garbage collector calls; whether it does."""
    if not finalizes():
        return False

    def go() -> None:
        with suppress(ChatStoreError):  # there is nobody left to tell
            act(*args)

    # Not by a Thread, whose start waits. At the interpreter's end there is none to be had, and the stores are closed.
    with suppress(RuntimeError):
        start_new_thread(go, ())
    return True


def answered(act: Callable[[], T]) -> T:
    """The answer of what the garbage collector calls and what may have to wait for its thread.

    Raises StoreBusy if it has to: it is done as soon as that thread goes on.
    """
    answers: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()  # it needs no lock that may be taken here

    def go() -> None:
        try:
            answers.put((act(), None))
        except BaseException as error:
            answers.put((None, error))

    start_new_thread(go, ())
    try:
        answer, error = answers.get(timeout=PATIENCE)
    except Empty:
        raise StoreBusy(
            "the garbage collector called this in the midst of another write, behind which it is done;"
            " close a generator that writes, and do not drop it half-way"
        ) from None
    if error is not None:
        raise error
    return answer  # type: ignore[no-any-return]
