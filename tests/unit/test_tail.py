"""What a subscription gives of blocks that grow: each text right, nothing twice, whatever is joined or cut."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from chatstore import Change, RunEnded, TextAppended
from chatstore.changes import Entry
from chatstore.cursor import MAX_SPAN, Position
from chatstore.kinds import Selection, select
from chatstore.live import joining
from chatstore.live.tail import Tail
from chatstore.model import Run
from chatstore.testing.conformance.base import Reader

from .growing_log import CURSORS, GrowingLog, made, piece

STEPS = st.lists(
    st.tuples(st.sampled_from(["write"] * 6 + ["end", "update"]), st.integers(0, 3)), min_size=1, max_size=40
)
SELECTIONS = st.sampled_from(
    [Selection(), select(kind="trace", authors=["1"]), select(kind="trace", authors=["0", "2", "3"])]
)


class Follower:
    """A subscription that is fed by random pages and commits, and resumes at random cursors."""

    def __init__(self, log: GrowingLog, data: st.DataObject) -> None:
        self._log = log
        self._data = data
        self._now = 0
        self.seen: list[Change] = []
        self.position = Position(0)

    def follow(self, choose: Callable[[], Selection], *, to_the_end: bool) -> None:
        """One subscription, from where the last ended."""
        selection = choose()
        tail = Tail(selection, self.position, CURSORS)
        feeds = count() if to_the_end else range(self._draw(1, 3))
        for _ in feeds:
            self._feed(tail, selection, to_the_end)
            wanted = 1_000 if to_the_end else self._draw(0, 4)
            while wanted and (change := tail.take()) is not None:
                assert change.cursor == CURSORS.between(tail.handled)
                self.seen.append(change)
                self.position = CURSORS.position(change.cursor)
                wanted -= 1
            if tail.position == len(self._log.entries):
                break
        if to_the_end or self._data.draw(st.booleans()):
            self.position = tail.resume_at

    def _feed(self, tail: Tail, selection: Selection, whole: bool) -> None:
        size = len(self._log.entries)
        caught_up = tail.position >= self._now  # commits are handed over to none else
        self._now = size if whole else self._draw(max(self._now, tail.position), size)
        if not whole and caught_up and self._data.draw(st.booleans()):  # as commits hand it over
            end = self._draw(min(tail.position + 1, self._now), self._now)
            tail.feed(self._log.entries[tail.position : end], selected=False)
            return
        end = self._draw(min(tail.position + 1, self._now), self._now)
        tail.feed(self._log.page(tail.position, end, self._now, selection), selected=True)
        tail.advance(end)

    def _draw(self, least: int, most: int) -> int:
        return self._data.draw(st.integers(least, most))


def a_log(steps: list[tuple[str, int]]) -> GrowingLog:
    log = GrowingLog()
    for what, index in steps:
        log.step(what, index)
    return log


@given(steps=STEPS, selection=SELECTIONS, stops=st.integers(0, 6), data=st.data())
def test_each_text_is_right_however_it_is_cut_and_resumed(
    steps: list[tuple[str, int]], selection: Selection, stops: int, data: st.DataObject
) -> None:
    log = a_log(steps)
    follower = Follower(log, data)
    for _ in range(stops):
        follower.follow(lambda: selection, to_the_end=False)
    follower.follow(lambda: selection, to_the_end=True)
    reader = Reader()
    reader.see(follower.seen)
    wanted = {index: text for index, text in log.texts.items() if selection.matches(made(index))}
    assert reader.texts == wanted
    assert reader.ended.keys() == {index for index in log.ends if index in wanted}
    assert follower.position == Position(len(log.entries))


@given(steps=STEPS, stops=st.integers(1, 8), data=st.data())
def test_under_changing_filters_nothing_comes_twice(
    steps: list[tuple[str, int]], stops: int, data: st.DataObject
) -> None:
    log = a_log(steps)
    follower = Follower(log, data)
    for _ in range(stops):
        follower.follow(lambda: data.draw(SELECTIONS), to_the_end=False)
    follower.follow(lambda: data.draw(SELECTIONS), to_the_end=True)
    Reader().see(follower.seen, whole=False)
    ends: dict[int, int] = {}
    for change in follower.seen:
        if isinstance(change, TextAppended):
            assert change.offset >= ends.get(change.index, 0)
            ends[change.index] = change.offset + len(change.text)
            assert log.texts[change.index][change.offset : ends[change.index]] == change.text
    assert follower.position == Position(len(log.entries))


@given(steps=STEPS)
def test_who_is_late_gets_one_change_of_text_for_each_block_between_others(steps: list[tuple[str, int]]) -> None:
    log = a_log(steps)
    tail = Tail(Selection(), Position(0), CURSORS)
    tail.feed(log.entries, selected=True)
    group: set[int] = set()
    while (change := tail.take()) is not None:
        if isinstance(change, TextAppended):
            assert change.index not in group
            group.add(change.index)
        else:
            group.clear()


def test_a_lone_piece_keeps_its_own_cursor() -> None:
    tail = Tail(Selection(), Position(4), CURSORS)
    entry = piece(5, 0, 0, "x")
    tail.feed([entry], selected=False)
    assert tail.take() is entry.change


def test_of_blocks_that_grew_at_once_the_one_of_the_highest_index_is_given_out_last() -> None:
    found = joining.ready([piece(1, 64, 0, "a"), piece(2, 1, 0, "b")], Position(0), CURSORS)
    assert [position for position, _ in found] == [Position(0, 2, 1), Position(2)]
    assert [(change.index, change.text) for _, change in found if isinstance(change, TextAppended)] == [
        (1, "b"),
        (64, "a"),
    ]
    assert [change.cursor for _, change in found] == sorted(change.cursor for _, change in found)


def test_a_place_is_whole_again_where_what_was_half_given_out_ends() -> None:
    start = Position(3, 5, 1)
    assert [joining.place(sequence, start) for sequence in (4, 5, 6)] == [Position(4, 5, 1), Position(5), Position(6)]
    tail = Tail(Selection(), start, CURSORS)
    tail.feed([piece(4, 1, 0, "x"), piece(5, 2, 0, "y"), piece(6, 1, 1, "z")], selected=True)
    assert [change.text for change in iter(tail.take, None) if isinstance(change, TextAppended)] == ["y", "z"]


def test_pieces_too_far_apart_to_be_sorted_are_given_in_their_order() -> None:
    far = MAX_SPAN + 10
    entries = [piece(1, 0, 0, "a"), piece(2, 1, 0, "b"), piece(3, 1, 1, "c"), piece(far, 0, 1, "d")]
    tail = Tail(Selection(), Position(0), CURSORS)
    tail.feed(entries, selected=True)
    taken = [tail.take() for _ in range(3)]
    assert [(change.cursor, change.text) for change in taken if isinstance(change, TextAppended)] == [
        (CURSORS.at(1), "a"),
        (CURSORS.at(3), "bc"),
        (CURSORS.at(far), "d"),
    ]


def test_a_tail_of_a_run_is_over_with_the_end_of_that_run_alone() -> None:
    def ended(sequence: int, run_id: str) -> Entry:
        run = Run.model_construct(id=run_id, context_id="c", state="completed")
        return Entry(sequence, RunEnded.model_construct(context_id="c", cursor=CURSORS.at(sequence), run=run), None)

    tail = Tail(select(kind="trace", run="mine"), Position(0), CURSORS)
    tail.feed([ended(1, "theirs"), ended(2, "mine"), ended(3, "theirs")], selected=False)
    assert not tail.over
    change = tail.take()
    assert isinstance(change, RunEnded)
    assert (change.run.id, tail.over, tail.take()) == ("mine", True, None)
