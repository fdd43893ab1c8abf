"""A process that writes under load, over one face or both, and says what came of each attempt."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from typing import Any

from attempts import Attempt, Plan
from children import arguments, say

from chatstore import AsyncChatStore, ChatStore, ChatStoreError

LANES = 3
"""Threads or tasks of a process that write at the same time."""


def main() -> None:
    given = arguments()
    lanes = _lanes(given)
    print_when_ready = input if given["wait"] else str
    if given["face"] == "sync":
        with ChatStore(given["path"]) as store:
            say("ready")
            print_when_ready()
            _run_threads(store, lanes)
    else:
        asyncio.run(_run_loop(given, lanes, print_when_ready))


def _lanes(given: Any) -> list[tuple[Plan, int]]:
    """A plan for each lane, which share the attempts of the process."""
    shares = [given["appends"] // LANES] * LANES
    shares[0] += given["appends"] - sum(shares)
    plans = (Plan(f"{given['name']}.{lane}", given["contexts"], given["seed"] * 10 + lane) for lane in range(LANES))
    return list(zip(plans, shares, strict=True))


def _run_threads(store: ChatStore, lanes: list[tuple[Plan, int]]) -> None:
    threads = [threading.Thread(target=_run_lane, args=(store, *lane)) for lane in lanes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _run_lane(store: ChatStore, plan: Plan, count: int) -> None:
    for attempt in plan.attempts(count):
        begun = time.monotonic_ns()
        try:
            say(attempt.record(begun, attempt.call(store.history(attempt.context))))
        except ChatStoreError as error:
            say(attempt.record(begun, error=error))


async def _run_loop(given: Any, lanes: list[tuple[Plan, int]], wait: Any) -> None:
    async with AsyncChatStore(given["path"]) as store, asyncio.TaskGroup() as group:
        say("ready")
        wait()
        for plan, count in lanes:
            group.create_task(_run_task(store, plan, count))
        if given["face"] == "both":
            with ChatStore(given["path"]) as beside:
                plan = Plan(f"{given['name']}.beside", given["contexts"], given["seed"])
                await asyncio.to_thread(_run_lane, beside, plan, given["appends"] // 4)


async def _run_task(store: AsyncChatStore, plan: Plan, count: int) -> None:
    for attempt in plan.attempts(count):
        begun = time.monotonic_ns()
        try:
            say(attempt.record(begun, await _awaited(attempt, store)))
        except ChatStoreError as error:
            say(attempt.record(begun, error=error))


async def _awaited(attempt: Attempt, store: AsyncChatStore) -> Any:
    outcome = attempt.call(store.history(attempt.context))
    return await outcome if inspect.isawaitable(outcome) else outcome


if __name__ == "__main__":
    main()
