"""Waking those who wait: an event loop with one call for all of its subscriptions, threads one by one."""

from __future__ import annotations

import logging
from asyncio import AbstractEventLoop, get_running_loop
from collections.abc import Callable, Iterable
from functools import partial
from typing import TypeAlias

from chatstore.live.channel import View, Waiter, Woken
from chatstore.live.tail import Batch

Behind: TypeAlias = Callable[[View, int], Batch | None]
"""What follows a position, as the subscriptions of one view share it; None: each has to look for itself."""

_log = logging.getLogger(__name__)


def wake(woken: Iterable[Woken], behind: Behind) -> None:
    """Wakes them. On an event loop they get what came at once; it is looked for there, once for all of one view."""
    loops: dict[AbstractEventLoop | None, list[Woken]] = {}
    for group in woken:
        loops.setdefault(group.loop, []).append(group)
    for loop, groups in loops.items():
        if loop is None:
            for group in groups:
                _wake_all(group.waiters, None)
        elif loop is _running_loop():
            _deliver(groups, behind)
        else:
            try:
                loop.call_soon_threadsafe(partial(_deliver, groups, behind))
            except RuntimeError:  # the loop is closed: nobody waits there any more
                _log.debug("an event loop closed before its subscriptions")


def _deliver(woken: Iterable[Woken], behind: Behind) -> None:
    for group in woken:
        batch = None
        if group.view is not None and group.position is not None:
            batch = behind(group.view, group.position)
        _wake_all(group.waiters, batch)


def _wake_all(waiters: Iterable[Waiter], batch: Batch | None) -> None:
    for waiter in waiters:
        waiter.wake(batch)


def _running_loop() -> AbstractEventLoop | None:
    try:
        return get_running_loop()
    except RuntimeError:
        return None
