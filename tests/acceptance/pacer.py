"""A process that appends as many blocks as each line of its input says, at moments of its own."""

from __future__ import annotations

import itertools
import random
import sys
import time

from children import arguments, say

from chatstore import ChatStore


def main() -> None:
    given = arguments()
    rng = random.Random(given["name"])
    numbers = itertools.count()
    with ChatStore(given["path"]) as store:
        history = store.history(given["context"])
        say("ready")
        for line in sys.stdin:
            for _ in range(int(line)):
                if given["pause"]:
                    time.sleep(rng.expovariate(1 / given["pause"]))
                history.append_assistant_message(f"{given['name']} {next(numbers)}", author=given["name"])


if __name__ == "__main__":
    main()
