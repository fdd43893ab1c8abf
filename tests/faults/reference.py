"""What a store went through, and what may be left of that in an image of its disk: a beginning, without holes."""

from __future__ import annotations

import re
import sqlite3
from bisect import bisect_left
from collections import defaultdict
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chatstore.schema import BLOCK_ADDED, BLOCK_CLOSED, BLOCK_UPDATED, RUN_ENDED, TEXT_APPENDED
from faults import power_writer

_BLOCKS = """SELECT h.context_id, b."index", hex(b.id), b.type, b.text, b.state, b.tags IS NOT NULL
FROM blocks b JOIN histories h ON h.id = b.history_id ORDER BY b.history_id, b."index" """
_ENTRIES = {
    power_writer.ADDED: BLOCK_ADDED,
    power_writer.UPDATED: BLOCK_UPDATED,
    power_writer.CLOSED: BLOCK_CLOSED,
}


@dataclass(frozen=True, slots=True)
class Found:
    """What an image holds: the number of its last change in the whole store's log, and blocks by context."""

    last: int
    blocks: dict[str, int]


class Reference:
    """The whole log, and the blocks as they were in the end."""

    def __init__(self, path: Path, before_compaction: list[Any]) -> None:
        with closing(sqlite3.connect(path)) as conn:
            after = conn.execute(power_writer.LOG).fetchall()
            self.blocks = {row[:2]: row for row in conn.execute(_BLOCKS)}
        self.log = {row[0]: tuple(row) for row in [*before_compaction, *after]}
        assert [*self.log] == list(range(1, len(self.log) + 1)), "the log itself has a gap"
        self._at: dict[tuple[object, ...], int] = {}
        self._texts: dict[tuple[str, int], list[tuple[int, int]]] = defaultdict(list)
        for id, context, _, type, index, offset, text in self.log.values():
            self._at[context, type, index if index is not None else text] = id
            if type == TEXT_APPENDED:
                self._texts[context, index].append((offset + len(text), id))

    def change_of(self, told: dict[str, Any]) -> int:
        """The change by which something came into the store that its writer was told of."""
        context, what = told["context"], told["what"]
        if what == power_writer.RUN_ENDED:
            return self._at[context, RUN_ENDED, told["run"]]
        if what == power_writer.TEXT:
            pieces = self._texts[context, told["index"]]
            return pieces[bisect_left(pieces, (told["length"], 0))][1]
        return self._at[context, _ENTRIES[what], told["index"]]

    def check(self, image: Path, *, compacting: bool) -> Found:
        """Raises an AssertionError unless the image is sound and holds a beginning of all this."""
        with closing(sqlite3.connect(image)) as conn:
            assert conn.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            log = conn.execute(power_writer.LOG).fetchall()
            last = log[-1][0] if log else 0
            self._check_log(log, last, compacting=compacting)
            blocks = conn.execute(_BLOCKS).fetchall()
            self._check_blocks(blocks, last)
            counts = conn.execute("SELECT context_id, head, count FROM histories").fetchall()
            [(ended,)] = conn.execute("SELECT count(*) FROM runs WHERE state = 'completed'")
        begun = [self.log[id] for id in range(1, last + 1)]
        assert ended == sum(entry[3] == RUN_ENDED for entry in begun), "a run has not ended that did"
        for context, head, count in counts:
            assert head == sum(entry[1] == context for entry in begun), "a head beside its log"
            assert count == sum(block[0] == context for block in blocks), "a count beside its blocks"
        return Found(last, {context: count for context, _, count in counts})

    def _check_log(self, log: list[Any], last: int, *, compacting: bool) -> None:
        for row in log:
            assert self.log[row[0]] == row, "another entry than was written"
        missing = {*range(1, last + 1)} - {row[0] for row in log}
        assert compacting or not missing, f"the log has gaps: {missing}"
        for id in missing:
            _, context, _, type, index, *_ = self.log[id]
            closed = self._at.get((context, BLOCK_CLOSED, index), last + 1)
            assert type == TEXT_APPENDED and closed <= last, f"entry {id} is gone"

    def _check_blocks(self, blocks: list[Any], last: int) -> None:
        there = {block[:2] for block in blocks}
        wanted = {(context, index) for (context, type, index), id in self._at.items()
                  if type == BLOCK_ADDED and id <= last}  # fmt: skip
        assert there == wanted, "blocks beside the log"
        for context, index, id, type, text, state, marked in blocks:
            final = self.blocks[context, index]
            ended = self._at.get((context, BLOCK_CLOSED, index), 0) <= last
            assert (id, type) == final[2:4]
            assert (text, state) == (final[4:6] if ended else ("", "open")), "another text than was written"
            assert marked == (self._at.get((context, BLOCK_UPDATED, index), last + 1) <= last), "a tag beside the log"
            if batch := re.match(r"(\d)/(\d) ", text):
                part, count = map(int, batch.groups())
                assert (context, index - part + count - 1) in there, "a torn batch"
