"""A generator that is dropped half-way, and closed by the garbage collector at a bad moment."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator
from typing import Any


def collected(lock: Any, generator: Callable[..., Iterator[None]], *given: Any) -> None:
    """Drops a generator half-way, in a circle, and has it collected with a lock held."""

    def work() -> None:
        circle: list[Any] = [generator(*given)]
        circle.append(circle)
        next(circle[0])
        gc.disable()
        try:
            del circle
            with lock:
                gc.collect()
        finally:
            gc.enable()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()
