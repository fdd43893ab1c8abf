"""What a remote subscription knows: bytes of a stream in, changes and the place to resume at out."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_blocks import said, stored

from chatstore import BlockAdded, Cursor, StoreUnavailable, TextAppended, UsageError
from chatstore.errors import CursorExpired
from chatstore.remote.answers import Patience
from chatstore.remote.feed import READY, READY_SIZE, Feed
from chatstore.remote.sse import Event, Events
from chatstore.wire import framing, problems


def feed(after: str | None = None, timeout: float | None = None, now: list[float] | None = None) -> Feed:
    clock = now or [0.0]
    return Feed("/events", {"kind": "trace"}, after, follow=True, timeout=timeout, clock=lambda: clock[0])


def patience(seconds: float = 10.0, now: list[float] | None = None) -> Patience:
    clock = now or [0.0]
    return Patience(seconds, lambda: clock[0], lambda: 1.0)


def text(place: int, offset: int, piece: str, name: str = "b") -> TextAppended:
    return TextAppended(
        context_id="c",
        cursor=Cursor(f"c-{place}"),
        block_id=name,
        index=0,
        type="message",
        role=None,
        author=None,
        run_id=None,
        offset=offset,
        text=piece,
    )


def sent(*changes: TextAppended | BlockAdded) -> bytes:
    return b"".join(framing.sse_of(change, change.cursor) for change in changes)


@given(
    data=st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"))),
    cuts=st.lists(st.integers(0, 400)),
)
def test_events_come_out_as_they_went_in_wherever_the_bytes_are_cut(data: list[str], cuts: list[int]) -> None:
    whole = b"".join(framing.event(line, name="change", id=str(place)) for place, line in enumerate(data))
    places = sorted({min(cut, len(whole)) for cut in cuts} | {0, len(whole)})
    events = Events()
    found = [event for start, end in pairwise(places) for event in events.feed(whole[start:end])]
    assert found == [Event("change", line, str(place)) for place, line in enumerate(data)]


def test_pieces_that_nobody_took_are_joined_with_the_place_behind_the_last() -> None:
    one = feed()
    one.feed(framing.heartbeat("c-0"), patience())
    assert one.cursor == "c-0"
    one.feed(sent(text(1, 0, "a"), text(2, 1, "b"), text(3, 0, "x", "other"), text(4, 1, "y", "other")), patience())
    joined = one.take()
    assert isinstance(joined, TextAppended)
    assert (joined.offset, joined.text, joined.cursor, one.cursor) == (0, "ab", "c-2", "c-2")
    one.feed(sent(text(5, 2, "z", "other")), patience())
    after = one.take()
    assert isinstance(after, TextAppended)
    assert (after.text, after.cursor) == ("xyz", "c-5")
    assert one.take() is None


def test_it_is_asked_for_again_behind_what_was_read_and_not_behind_what_was_taken() -> None:
    one = feed(after="now")
    assert json.loads(one.request())["after"] == "now"
    one.feed(framing.heartbeat("c-7"), patience())
    one.feed(sent(text(8, 0, "a"))[:-10], patience())
    assert json.loads(one.request())["after"] == "c-7"
    one.feed(sent(text(8, 0, "a")), patience())
    assert json.loads(one.request())["after"] == "c-8"
    assert (one.cursor, one.take() is not None, one.cursor) == ("c-7", True, "c-8")


def test_signs_of_life_move_the_place_where_nothing_waits_to_be_taken() -> None:
    one = feed()
    one.feed(framing.heartbeat("c-1") + framing.heartbeat("c-9"), patience())
    assert (one.cursor, one.take()) == ("c-9", None)
    added = BlockAdded(context_id="c", cursor=Cursor("c-10"), block=stored([said("user", "x")])[0])
    one.feed(sent(added) + framing.heartbeat("c-12"), patience())
    assert one.cursor == "c-9"
    assert (one.take(), one.cursor) == (added, "c-12")


def test_what_nobody_takes_is_bounded_in_number_and_in_size() -> None:
    many = feed()
    many.feed(sent(*(text(place, 0, "x", f"b{place}") for place in range(READY - 1))), patience())
    assert not many.full
    many.feed(sent(text(READY, 0, "x", "last")), patience())
    assert many.full
    many.take()
    assert not many.full
    large, taken = feed(), 0
    while not large.full:
        large.feed(sent(text(taken + 1, taken, "x" * 100_000)), patience())
        taken += 100_000
    assert READY_SIZE - 200_000 < taken <= READY_SIZE
    whole = large.take()
    assert isinstance(whole, TextAppended)
    assert (len(whole.text), large.full, large.take()) == (taken, False, None)


@pytest.mark.parametrize(
    "said",
    [
        framing.event("{", name="block_added", id="c-1"),
        framing.event("[]", name="block_added", id="c-1"),
        framing.event("[" * 100_000, name="block_added", id="c-1"),
        framing.event("{}", name="problem"),
        b"data: \xff\n\n",
    ],
)
def test_events_that_cannot_be_read_are_an_error_of_our_own(said: bytes) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        feed().feed(said, patience())


def test_only_the_last_event_ends_it() -> None:
    one = feed()
    one.feed(framing.heartbeat("c-1") + framing.event("", name=framing.END, id="c-3"), patience())
    assert (one.complete, one.cursor) == (True, "c-3")


def test_the_timeout_is_what_is_left_since_the_last_change_that_was_taken() -> None:
    now = [100.0]
    one = feed(timeout=5.0, now=now)
    now[0] += 2
    assert json.loads(one.request())["timeout"] == 3.0
    one.feed(sent(text(1, 0, "a")), patience())
    one.take()
    assert json.loads(one.request())["timeout"] == 5.0
    now[0] += 6
    assert one.broke(OSError(), patience(now=now), "here") == 0.0
    assert one.complete


def test_a_problem_in_the_stream_is_raised() -> None:
    problem = problems.problem(CursorExpired("gone", start="c-5"))
    with pytest.raises(CursorExpired) as expired:
        feed().feed(framing.event(json.dumps(problem), name="problem"), patience())
    assert expired.value.start == "c-5"


def test_what_passes_is_waited_for_and_what_does_not_is_raised_at_once() -> None:
    now = [0.0]
    waiting, one = patience(1.0, now), feed()
    pauses = []
    while True:
        try:
            pauses.append(one.broke(OSError(), waiting, "here"))
        except StoreUnavailable:
            break
        now[0] += pauses[-1]
    assert pauses[:3] == [0.02, 0.04, 0.08]
    assert sum(pauses) == pytest.approx(1.0)
    with pytest.raises(UsageError):
        one.broke(UsageError("no"), patience(), "here")
