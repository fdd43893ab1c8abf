"""A process of subscribers that leave at random and go on where they were, until it is killed or the writers are done.

Each says every change as it handles it. What was said is what it has acknowledged: there it is resumed after a kill.
The process says as well when the machine gave it no time.
"""

from __future__ import annotations

import asyncio
import random
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from children import arguments, say
from filters import FILTERS
from heartbeat import beating

from chatstore import AsyncChatStore, ChatStore


@dataclass(slots=True)
class Place:
    """Where one subscriber is, and when it will leave."""

    number: int
    context: str
    cursor: str | None
    seed: int
    random: random.Random = field(init=False)
    since: int = 0
    left: int = 0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    @property
    def filters(self) -> dict[str, Any]:
        return FILTERS[self.number % len(FILTERS)][0]

    def arrive(self) -> float:
        """Begins a stretch of so many seconds, or of so many changes."""
        self.since, self.left = time.monotonic_ns(), self.random.choice((1, 3, 20, 10**9))
        return self.random.uniform(0.05, 3)

    def handle(self, change: Any) -> bool:
        """Says what came; whether to stay."""
        say([self.number, change.cursor, change.block.id, self.since, time.monotonic_ns()])
        self.cursor = change.cursor
        self.left -= 1
        return self.left > 0

    def leave(self, reached: str | None) -> None:
        """Half the time it goes on at the subscription's own cursor, behind what the filter left out."""
        if self.random.random() < 0.5:
            self.cursor = reached


def stay(place: Place, store: ChatStore, done: threading.Event) -> None:
    """On a thread: it leaves in the middle, by patience, or is closed by another thread while it waits."""
    while not done.is_set():
        seconds = place.arrive()
        history = store.history(place.context)
        timeout = place.random.choice((None, seconds / 2))
        with history.subscribe(after=place.cursor, timeout=timeout, **place.filters) as subscription:
            closer = threading.Timer(seconds, subscription.close)
            closer.start()
            for change in subscription:
                if not place.handle(change):
                    break
            closer.cancel()
            closer.join()
        place.leave(subscription.cursor)
    place.since, place.left = time.monotonic_ns(), 10**9
    for change in store.history(place.context).subscribe(after=place.cursor, follow=False, **place.filters):
        place.handle(change)


async def stay_on_a_loop(place: Place, store: AsyncChatStore, done: threading.Event) -> None:
    """On an event loop: it is cancelled in the middle of a wait, or leaves."""
    while not done.is_set():
        seconds = place.arrive()
        subscription = store.history(place.context).subscribe(after=place.cursor, **place.filters)
        try:
            async with asyncio.timeout(seconds), subscription:
                async for change in subscription:
                    if not place.handle(change):
                        break
        except TimeoutError:
            pass
        place.leave(subscription.cursor)
    place.since, place.left = time.monotonic_ns(), 10**9
    async for change in store.history(place.context).subscribe(after=place.cursor, follow=False, **place.filters):
        place.handle(change)


def wait_for_the_writers(done: threading.Event) -> None:
    sys.stdin.readline()
    done.set()


def main() -> None:
    given = arguments()
    with beating(say):
        follow(given)


def follow(given: Any) -> None:
    places = [
        Place(number, context, cursor, given["seed"] + number) for number, context, cursor in given["subscribers"]
    ]
    done = threading.Event()
    threading.Thread(target=wait_for_the_writers, args=(done,), daemon=True).start()
    if given["face"] == "async":
        asyncio.run(follow_on_a_loop(given, places, done))
        return
    with ChatStore(given["path"], wake=given["wake"]) as store:
        threads = [threading.Thread(target=stay, args=(place, store, done)) for place in places]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


async def follow_on_a_loop(given: Any, places: list[Place], done: threading.Event) -> None:
    async with AsyncChatStore(given["path"], wake=given["wake"]) as store, asyncio.TaskGroup() as group:
        for place in places:
            group.create_task(stay_on_a_loop(place, store, done))


if __name__ == "__main__":
    main()
