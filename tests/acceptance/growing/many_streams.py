"""A process that writes into many blocks at once, each in its own run, and says what the store acknowledged.

It says [context, run, block] of each stream, then [number of the stream, characters acknowledged, characters
written] as they grow.
"""

from __future__ import annotations

import threading
from itertools import count

from chatstore import ChatStore, History
from growing.processes import arguments, say

FLUSH_EVERY = 5


def text_of(number: int, words: int) -> str:
    """The first so many words of a stream."""
    return "".join(_word(number, word) for word in range(words))


def _word(number: int, word: int) -> str:
    return f"{number}:{word} "


def write(history: History, number: int, all_open: threading.Barrier) -> None:
    with history.run() as run, history.open_message(author=f"stream {number}") as block:
        say([history.context_id, run.id, block.block.id])
        all_open.wait()
        for word in count():
            block.write(_word(number, word))
            if word % FLUSH_EVERY == 0:
                block.flush()
                say([number, len(text_of(number, word + 1))])
            else:
                pause.wait(0.002)


pause = threading.Event()


def main() -> None:
    given = arguments()
    with ChatStore(given["path"], lease=given["lease"]) as store:
        all_open = threading.Barrier(given["streams"])
        histories = [store.history(f"context {number % given['contexts']}") for number in range(given["streams"])]
        threads = [
            threading.Thread(target=write, args=(history, number, all_open)) for number, history in enumerate(histories)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


if __name__ == "__main__":
    main()
