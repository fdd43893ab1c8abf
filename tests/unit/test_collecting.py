"""From changes back to blocks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chatstore import RunStarted, collect
from chatstore.model import Run

from .growing_log import CURSORS, GrowingLog, piece
from .test_tail import STEPS, a_log


@given(steps=STEPS)
def test_the_whole_log_gives_every_block_with_its_text(steps: list[tuple[str, int]]) -> None:
    log = a_log(steps)
    blocks = collect(entry.change for entry in log.entries)
    assert {block.index: block.text for block in blocks} == log.texts
    assert [block.index for block in blocks] == sorted(log.texts)
    assert {block.index for block in blocks if block.state == "closed"} == log.ends.keys()


@given(steps=STEPS, cut=st.integers(0, 60))
def test_a_block_whose_beginning_is_missing_is_there_once_it_is_shown_whole(
    steps: list[tuple[str, int]], cut: int
) -> None:
    log = a_log(steps)
    blocks = {block.index: block for block in collect(entry.change for entry in log.entries[cut:])}
    for index, end in log.ends.items():
        assert end <= cut or blocks[index].text == log.texts[index]


def test_blocks_are_in_order_of_context_and_index() -> None:
    log = GrowingLog()
    for index in (1, 0):
        log.step("open", index)
    other = [
        entry.change.model_copy(update={"block": entry.change.block.model_copy(update={"context_id": "b"})})
        for entry in log.entries
    ]  # type: ignore[union-attr]
    blocks = collect([*(entry.change for entry in log.entries), *other])
    assert [(block.context_id, block.index) for block in blocks] == [("b", 0), ("b", 1), ("c", 0), ("c", 1)]


def test_an_update_keeps_the_text_of_a_block_that_still_grows() -> None:
    log = GrowingLog()
    for what in ("open", "write", "update"):
        log.step(what, 0)
    (block,) = collect(entry.change for entry in log.entries)
    assert block.text == log.texts[0] != ""


def test_text_of_unknown_blocks_and_changes_of_runs_give_no_block() -> None:
    run = Run.model_construct(id="r", context_id="c", state="running")
    started = RunStarted.model_construct(context_id="c", cursor=CURSORS.at(1), run=run)
    assert collect([started, piece(2, 0, 0, "x").change]) == collect([]) == []
