"""A process that writes for a while, at a pace that leaves the machine time, and says what came of each attempt."""

from __future__ import annotations

import asyncio
import inspect
import random
import time
from typing import Any

from attempts import Attempt, Plan
from children import arguments, say

from chatstore import AsyncChatStore, ChatStore, ChatStoreError


def main() -> None:
    given = arguments()
    plan = Plan(given["name"], given["contexts"], given["seed"])
    pauses = random.Random(given["seed"])
    if given["face"] == "async":
        asyncio.run(write_on_a_loop(given, plan, pauses))
        return
    with ChatStore(given["path"]) as store:
        end = time.monotonic() + given["over"]
        for attempt in plan.attempts(10**9):
            tell(attempt, lambda attempt=attempt: attempt.call(store.history(attempt.context)))
            time.sleep(pauses.uniform(0, 2 * given["pause"]))
            if time.monotonic() > end:
                return


async def write_on_a_loop(given: Any, plan: Plan, pauses: random.Random) -> None:
    async with AsyncChatStore(given["path"]) as store:
        end = time.monotonic() + given["over"]
        for attempt in plan.attempts(10**9):
            begun = time.monotonic_ns()
            try:
                outcome = attempt.call(store.history(attempt.context))
                say(attempt.record(begun, await outcome if inspect.isawaitable(outcome) else outcome))
            except ChatStoreError as error:
                say(attempt.record(begun, error=error))
            await asyncio.sleep(pauses.uniform(0, 2 * given["pause"]))
            if time.monotonic() > end:
                return


def tell(attempt: Attempt, call: Any) -> None:
    begun = time.monotonic_ns()
    try:
        say(attempt.record(begun, call()))
    except ChatStoreError as error:
        say(attempt.record(begun, error=error))


if __name__ == "__main__":
    main()
