"""A process of subscribers that leave and come back at random, and say what they saw in each stretch."""

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

from chatstore import AsyncChatStore, ChatStore

OTHER_FILTER = 0.2
"""How often a subscriber comes back under another filter than its own."""


@dataclass(slots=True)
class Stretch:
    """One subscription: where it began, what it saw, where it may be resumed."""

    number: int
    context: str
    filter: int
    after: str | None
    patience: float
    most: int
    seen: list[tuple[str, str, str]] = field(default_factory=list)
    until: str | None = None

    def see(self, change: Any) -> bool:
        """Takes one change; whether it is time to leave."""
        self.seen.append((change.cursor, type(change).__name__, change.block.model_dump_json()))
        return len(self.seen) >= self.most

    def tell(self, cursor: str | None) -> None:
        """Says what was seen. It goes on behind the last change handled, or where the subscription had got to."""
        say(
            {
                "subscriber": self.number,
                "context": self.context,
                "filter": self.filter,
                "after": self.after,
                "until": cursor,
                "seen": self.seen,
            }
        )


class Subscriber:
    """Decides when to leave and where to go on; it knows nothing of threads and loops."""

    def __init__(self, number: int, context: str, disconnects: int, seconds: float) -> None:
        self.number = number
        self.context = context
        self.left = disconnects
        self.pause = seconds / disconnects
        self.random = random.Random(number)
        self.cursor: str | None = None

    def next_stretch(self, most: int | None = None) -> Stretch:
        own = self.number % len(FILTERS)
        filter = self.random.randrange(len(FILTERS)) if self.random.random() < OTHER_FILTER else own
        patience = self.random.uniform(0, 2 * self.pause)
        count = most or self.random.choice((1, 2, 5, 50, 1_000))
        return Stretch(self.number, self.context, filter, self.cursor, patience, count)

    def finish(self, stretch: Stretch, reached: str | None) -> None:
        """Half the time it resumes at the last change it handled, else at the subscription's own cursor."""
        handled = stretch.seen[-1][0] if stretch.seen else stretch.after
        self.cursor = handled if self.random.random() < 0.5 else reached
        stretch.tell(self.cursor)
        self.left -= 1


def run(subscriber: Subscriber, store: ChatStore, done: threading.Event) -> None:
    """Leaves and comes back until the writers are done, then catches up."""
    while subscriber.left > 0 or not done.is_set():
        stretch = subscriber.next_stretch()
        options = FILTERS[stretch.filter][0]
        begun = time.monotonic()
        history = store.history(subscriber.context)
        with history.subscribe(after=stretch.after, timeout=stretch.patience, **options) as subscription:
            for change in subscription:
                if stretch.see(change) or time.monotonic() - begun > stretch.patience:
                    break
        subscriber.finish(stretch, subscription.cursor)
    stretch = subscriber.next_stretch(most=10**9)
    subscription = store.history(subscriber.context).subscribe(
        after=stretch.after, follow=False, **FILTERS[stretch.filter][0]
    )
    for change in subscription:
        stretch.see(change)
    stretch.tell(subscription.cursor)


async def run_async(subscriber: Subscriber, store: AsyncChatStore, done: threading.Event) -> None:
    """The same on an event loop, where it is also cancelled in the middle of a wait."""
    while subscriber.left > 0 or not done.is_set():
        stretch = subscriber.next_stretch()
        options = FILTERS[stretch.filter][0]
        subscription = store.history(subscriber.context).subscribe(after=stretch.after, **options)
        try:
            async with asyncio.timeout(stretch.patience):
                async for change in subscription:
                    if stretch.see(change):
                        break
        except TimeoutError:
            pass
        subscriber.finish(stretch, subscription.cursor)
    stretch = subscriber.next_stretch(most=10**9)
    subscription = store.history(subscriber.context).subscribe(
        after=stretch.after, follow=False, **FILTERS[stretch.filter][0]
    )
    async for change in subscription:
        stretch.see(change)
    stretch.tell(subscription.cursor)


def main() -> None:
    given = arguments()
    subscribers = [Subscriber(*one, given["disconnects"], given["over"]) for one in given["subscribers"]]
    done = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.readline(), done.set()), daemon=True).start()
    if given["face"] == "async":
        asyncio.run(_main_async(given, subscribers, done))
        return
    with ChatStore(given["path"], wake=given["wake"]) as store:
        say("ready")
        threads = [threading.Thread(target=run, args=(one, store, done)) for one in subscribers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


async def _main_async(given: Any, subscribers: list[Subscriber], done: threading.Event) -> None:
    async with AsyncChatStore(given["path"], wake=given["wake"]) as store, asyncio.TaskGroup() as group:
        say("ready")
        for one in subscribers:
            group.create_task(run_async(one, store, done))


if __name__ == "__main__":
    main()
