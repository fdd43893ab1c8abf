"""The live path without I/O: the window that subscriptions share, and what one of them knows."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from chatstore import BlockAdded, BlockDraft
from chatstore.changes import Entry
from chatstore.cursor import CursorFactory, Position
from chatstore.kinds import Selection, select
from chatstore.live.channel import MAX_CHARACTERS, MAX_ENTRIES, Channel, View
from chatstore.live.tail import Batch, Tail

from .test_kinds import stored

CURSORS = CursorFactory("0123456789ab", "c")


def entry(sequence: int, role: str = "user", text: str = "") -> Entry:
    block = stored(BlockDraft(role=role, text=text))
    change = BlockAdded.model_construct(context_id="c", cursor=CURSORS.at(sequence), block=block)
    return Entry(sequence, change, block)


def a_tail(selection: Selection, start: int) -> Tail:
    return Tail(selection, Position(start), CURSORS)


def entries(first: int, last: int, **fields: Any) -> list[Entry]:
    return [entry(sequence, **fields) for sequence in range(first, last + 1)]


def numbers(found: Any) -> list[int] | None:
    return None if found is None else [entry.sequence for entry in found]


def test_a_window_gives_what_is_behind_a_position() -> None:
    channel = Channel("c")
    assert channel.behind(0) is None
    channel.skip_to(5)
    assert channel.extend(entries(6, 9))
    assert numbers(channel.behind(5)) == [6, 7, 8, 9]
    assert numbers(channel.behind(8)) == [9]
    assert numbers(channel.behind(9)) == []
    assert channel.behind(4) is None


def test_a_window_passes_over_what_it_knows_and_refuses_a_gap() -> None:
    channel = Channel("c")
    channel.skip_to(0)
    assert channel.extend(entries(1, 3))
    assert channel.extend(entries(2, 4))
    assert not channel.extend(entries(6, 7))
    assert channel.head == 4
    assert channel.extend(entries(5, 7))
    assert numbers(channel.behind(0)) == [1, 2, 3, 4, 5, 6, 7]


def test_a_window_keeps_so_many_entries_and_characters() -> None:
    channel = Channel("c")
    channel.skip_to(0)
    channel.extend(entries(1, MAX_ENTRIES + 100))
    assert channel.behind(99) is None
    assert len(channel.behind(100) or ()) == MAX_ENTRIES
    big = entry(MAX_ENTRIES + 101, text="x" * (MAX_CHARACTERS + 1))
    channel.extend([big])
    assert channel.behind(MAX_ENTRIES + 99) is None
    assert numbers(channel.behind(MAX_ENTRIES + 100)) == [MAX_ENTRIES + 101]


def test_a_window_that_skips_begins_anew() -> None:
    channel = Channel("c")
    channel.skip_to(0)
    channel.extend(entries(1, 10))
    channel.skip_to(20)
    assert channel.behind(10) is None
    assert numbers(channel.behind(20)) == []
    assert channel.extend(entries(21, 22))
    assert numbers(channel.behind(20)) == [21, 22]


def test_a_page_that_was_overtaken_changes_nothing_of_a_window() -> None:
    channel = Channel("c")
    channel.fill(entries(1, 2), 2)
    assert channel.head is None
    channel.skip_to(0)
    channel.extend(entries(1, 5))
    channel.fill(entries(2, 3), 4)
    assert (channel.head, numbers(channel.behind(0))) == (5, [1, 2, 3, 4, 5])
    channel.fill([entry(5), entry(8)], 9)
    assert (channel.head, numbers(channel.behind(4))) == (9, [5, 8])


class Waiting:
    """Somebody who waits on a thread."""

    loop = None

    def wake(self, batch: Batch | None = None) -> None:
        raise AssertionError("nobody is woken by a channel itself")


def test_all_who_wait_are_released_once_and_who_takes_it_back_is_not() -> None:
    channel = Channel("c")
    everything = View(channel, Selection(), CURSORS)
    narrow = View(channel, select(kind="trace", roles=["user"]), CURSORS)
    first, second, third, gone = Waiting(), Waiting(), Waiting(), Waiting()
    for waiter in (first, gone, second):
        everything.wait(waiter)
    narrow.wait(third)
    everything.forget(gone)
    narrow.forget(gone)
    released = channel.release(7)
    assert {woken.view: set(woken.waiters) for woken in released} == {everything: {first, second}, narrow: {third}}
    assert {(woken.loop, woken.position) for woken in released} == {(None, 7)}
    assert channel.release() == []
    narrow.wait(third)
    narrow.forget(third)
    assert channel.waiting == set()


class Windowed(RuleBasedStateMachine):
    """Whatever is announced, a window holds a gapless end of the log."""

    def __init__(self) -> None:
        super().__init__()
        self.channel = Channel("c")
        self.log = 0

    @rule(count=st.integers(1, 300))
    def announce(self, count: int) -> None:
        self.channel.extend(entries(self.log + 1, self.log + count))
        self.log += count

    @rule(count=st.integers(1, 20))
    def miss(self, count: int) -> None:
        self.log += count

    @rule()
    def catch_up(self) -> None:
        if self.channel.head is None or self.log - self.channel.head > 50:
            self.channel.skip_to(self.log)
        else:
            assert self.channel.extend(entries(self.channel.head + 1, self.log))

    @invariant()
    def holds_its_range_without_gaps(self) -> None:
        if self.channel.head is not None:
            held = numbers(self.channel.behind(self.channel.base))
            assert held == [*range(self.channel.base + 1, self.channel.head + 1)]
            assert self.channel.head - self.channel.base <= MAX_ENTRIES


TestWindowed = Windowed.TestCase
TestWindowed.settings = settings(max_examples=30)


def test_a_tail_gives_out_what_its_selection_means_and_moves_over_the_rest() -> None:
    tail = a_tail(select(kind="trace", roles=["user"]), 0)
    tail.feed([entry(1), entry(2, "tool"), entry(3), entry(4, "tool")], selected=False)
    assert (tail.position, tail.handled, tail.resume_at) == (4, Position(0), Position(0))
    assert tail.take() == entry(1).change
    assert (tail.handled, tail.resume_at) == (Position(1), Position(1))
    assert tail.take() == entry(3).change
    assert (tail.take(), tail.resume_at) == (None, Position(4))


def test_a_tail_that_is_fed_before_all_was_taken_gives_out_each_change_once() -> None:
    tail = a_tail(Selection(), 0)
    tail.feed(entries(1, 3), selected=True)
    taken = [tail.take(), tail.take()]
    tail.feed(entries(4, 5), selected=True)
    while (change := tail.take()) is not None:
        taken.append(change)
    assert taken == [one.change for one in entries(1, 5)]
    assert tail.resume_at == Position(5)


def test_a_tail_passes_over_what_it_was_fed_before() -> None:
    tail = a_tail(Selection(), 2)
    tail.feed(entries(1, 4), selected=True)
    tail.feed(entries(3, 5), selected=True)
    taken = [tail.take() for _ in range(4)]
    assert [change.cursor if change else None for change in taken] == [*map(CURSORS.at, (3, 4, 5)), None]


def test_a_tail_never_goes_back() -> None:
    tail = a_tail(Selection(), 5)
    tail.advance(3)
    assert tail.position == 5
    tail.advance(9)
    tail.feed(entries(6, 9), selected=True)
    assert (tail.take(), tail.position, tail.resume_at) == (None, 9, Position(9))


@given(cuts=st.lists(st.integers(1, 40), max_size=8), roles=st.lists(st.sampled_from(["user", "tool"]), max_size=40))
def test_a_tail_stopped_anywhere_resumes_without_loss_or_repetition(cuts: list[int], roles: list[str]) -> None:
    log = [entry(place + 1, role) for place, role in enumerate(roles)]
    selection = select(kind="trace", roles=["user"])
    seen, position = [], Position(0)
    for cut in [*cuts, len(log) + 1]:
        tail = Tail(selection, position, CURSORS)
        tail.feed(log, selected=False)
        seen += [change.cursor for _ in range(cut) if (change := tail.take())]
        position = tail.resume_at
    assert seen == [CURSORS.at(place + 1) for place, role in enumerate(roles) if role == "user"]
