"""A process whose subscriber takes one change, sleeps until it hears something, and then takes all that came.

It says "asleep"; awake, it follows until it has so many characters, and says what that cost in memory, and how
many changes each block came in.
"""

from __future__ import annotations

import gc
from pathlib import Path

from chatstore import ChatStore, TextAppended
from growing.processes import arguments, heard, say


def memory(what: str = "VmRSS") -> int:
    """Bytes of memory that this process has now, or had at most (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{what}:"))


def main() -> None:
    given = arguments()
    with ChatStore(given["path"]) as store, store.history(given["context"]).subscribe(timeout=60) as changes:
        next(changes)
        gc.collect()
        before = memory()
        say("asleep")
        heard()
        asleep = memory()
        pieces: dict[int, int] = {}
        texts: dict[int, int] = {}
        while sum(texts.values()) < given["characters"]:
            change = next(changes)
            if isinstance(change, TextAppended):
                assert change.offset == texts.get(change.index, 0)
                texts[change.index] = change.offset + len(change.text)
                pieces[change.index] = pieces.get(change.index, 0) + 1
        peak = memory("VmHWM")
    say({"asleep": asleep - before, "peak": peak - before, "pieces": list(pieces.values())})


if __name__ == "__main__":
    main()
