"""SQLite's log stays short whatever subscribers do, and keeping it so holds writers up for a moment only."""

from __future__ import annotations

import json
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from children import Child, running
from figures import report

from chatstore import BlockDraft, ChatStore

LONGEST = 16_000_000

_WRITER = """
    import json, os, sys, time
    from chatstore import ChatStore
    from chatstore.databases.checkpoints import Checkpoints

    path, name, appends = sys.argv[1], sys.argv[2], int(sys.argv[3])
    held_up, longest, latencies = [], 0, []
    run = Checkpoints.run

    def timed(*given):
        began = time.perf_counter()
        run(*given)
        held_up.append(time.perf_counter() - began)

    Checkpoints.run = timed
    with ChatStore(path, durability="token") as store:
        print("ready", flush=True)
        sys.stdin.readline()
        for number in range(appends):
            history = store.history(f"context {number % 5}")
            began = time.perf_counter()
            history.append_user_message(f"{name}-{number} and some more words")
            latencies.append(time.perf_counter() - began)
            longest = max(longest, os.stat(f"{path}-wal").st_size)
    latencies.sort()
    print(json.dumps({"longest": longest, "held_up": held_up, "p99": latencies[len(latencies) * 99 // 100],
                      "slowest": latencies[-1], "seconds": sum(latencies)}), flush=True)
"""

_SUBSCRIBERS = """
    import asyncio, sys
    from chatstore import AsyncChatStore

    path, following, stalled, total = sys.argv[1], *map(int, sys.argv[2:5])

    async def follow(store, number):
        seen = 0
        async with store.history(f"context {number % 5}").subscribe() as changes:
            async for _ in changes:
                seen += 1
                if seen == total // 5:
                    return

    async def main():
        async with AsyncChatStore(path) as store:
            idle = [store.history(f"context {number % 5}").subscribe() for number in range(stalled)]
            first = [asyncio.ensure_future(anext(changes)) for changes in idle]
            rest = [asyncio.ensure_future(follow(store, number)) for number in range(following)]
            print("ready", flush=True)
            await asyncio.gather(*first)
            await asyncio.gather(*rest)
            for changes in idle:
                await changes.close()
            print("all seen", flush=True)

    asyncio.run(main())
"""

_READERS = """
    import sys, threading
    from chatstore import ChatStore

    with ChatStore(sys.argv[1]) as store:
        done = threading.Event()

        def read(number):
            history = store.history(f"context {number % 5}")
            while not done.is_set():
                history.get_messages(last=500)
                list(history.subscribe(follow=False))

        threads = [threading.Thread(target=read, args=(number,)) for number in range(int(sys.argv[2]))]
        for thread in threads:
            thread.start()
        print("ready", flush=True)
        sys.stdin.readline()
        done.set()
        for thread in threads:
            thread.join()
"""


def child(code: str, *values: object, seconds: float) -> Child:
    return Child([sys.executable, "-c", textwrap.dedent(code), *map(str, values)], seconds=seconds)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("appends", "subscribers", "stalled"),
    [
        (6_000, 10, 2),
        pytest.param(100_000, 50, 5, marks=[pytest.mark.slow, pytest.mark.soak, pytest.mark.timeout(1_500)]),
    ],
)
def test_the_log_stays_short_beside_many_subscribers_of_which_some_stand_still(
    path: Path, appends: int, subscribers: int, stalled: int
) -> None:
    ChatStore(path).close()
    seconds = 60 + appends / 80
    writers = [child(_WRITER, path, name, appends // 2, seconds=seconds) for name in ("a", "b")]
    halves = [
        child(_SUBSCRIBERS, path, (subscribers - stalled) // 2, still, appends, seconds=seconds)
        for still in (stalled, 0)
    ]
    with running(*writers, *halves):
        for one in (*writers, *halves):
            assert one.next_line() == "ready", one.stderr
        for writer in writers:
            writer.tell("go")
        reports: list[dict[str, Any]] = [json.loads(writer.next_line() or "null") for writer in writers]
        for half in halves:
            assert half.next_line() == "all seen", half.stderr
        for one in (*writers, *halves):
            one.succeed()
    show(f"{appends:,} appends, {subscribers} subscribers, {stalled} of them still", reports)
    assert max(one["longest"] for one in reports) < LONGEST
    assert sum(len(one["held_up"]) for one in reports) > appends / 1_000, "the log was never too long"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_log_stays_short_beside_readers_that_never_stop(path: Path) -> None:
    with ChatStore(path) as store:
        for number in range(5):
            store.history(f"context {number}").append([BlockDraft(text="x" * 100) for _ in range(600)])
    writer = child(_WRITER, path, "a", 8_000, seconds=500)
    readers = [child(_READERS, path, 8, seconds=500) for _ in range(2)]
    with running(writer, *readers):
        for one in (writer, *readers):
            assert one.next_line() == "ready", one.stderr
        writer.tell("go")
        reports = [json.loads(writer.next_line() or "null")]
        for reader in readers:
            reader.tell("done")
        for one in (writer, *readers):
            one.succeed()
    show("8,000 appends, 16 threads that read all the time", reports)
    assert reports[0]["longest"] < LONGEST


def show(title: str, reports: list[dict[str, Any]]) -> None:
    held_up = sorted(time for one in reports for time in one["held_up"])
    report(
        title,
        longest_log=f"{max(one['longest'] for one in reports) / 1e6:.1f} MB",
        checkpoints=len(held_up),
        median=f"{held_up[len(held_up) // 2] * 1e3:.1f} ms",
        p95=f"{held_up[len(held_up) * 95 // 100] * 1e3:.1f} ms",
        slowest=f"{held_up[-1] * 1e3:.1f} ms",
        p99_of_appends=f"{max(one['p99'] for one in reports) * 1e3:.1f} ms",
        slowest_append=f"{max(one['slowest'] for one in reports) * 1e3:.1f} ms",
    )
