"""A process that compacts all finished blocks, over and over, until it is told to stop; says what each step took."""

from __future__ import annotations

import threading
import time

from chatstore import ChatStore
from chatstore.operations import compacting
from chatstore.operations.transaction import Transaction
from growing.processes import arguments, heard, say


def main() -> None:
    given = arguments()
    stopped = threading.Event()
    threading.Thread(target=lambda: (heard(), stopped.set()), daemon=True).start()
    steps: list[tuple[int, float]] = []

    def step(transaction: Transaction) -> bool:
        begun = time.perf_counter()
        count, more = compacting.step(transaction, transaction.now)
        steps.append((count, time.perf_counter() - begun))
        return more

    with ChatStore(given["path"]) as store:
        say("ready")
        while not stopped.wait(0.005):
            while store._open().committer.run(step):
                pass
    say([step for step in steps if step[0]])


if __name__ == "__main__":
    main()
