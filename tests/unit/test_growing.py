"""The text of one open block between its writer and the disk, without either."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from chatstore import BlockEnded, ChatStore, RunCancelled, StoreFull
from chatstore.forking import Owner
from chatstore.operations.growing import Ending, Rest
from chatstore.operations.transaction import ContextRef
from chatstore.writing.growing import MAX_WAITING, Growing
from chatstore.writing.pending import Unanswered

from .growing_log import made


class Marked:
    """Notes which blocks have text to commit, in place of the thread that commits it."""

    owner = Owner()

    def __init__(self) -> None:
        self.blocks: list[Growing] = []

    def mark(self, block: Growing) -> None:
        self.blocks.append(block)


def growing() -> Growing:
    return Growing(ContextRef("c"), made(0), Marked())  # type: ignore[arg-type]


def test_what_was_written_is_taken_as_one_with_its_offset() -> None:
    block = growing()
    assert block.take() is None
    for text in ("a", "", "bc"):
        assert block.add(text)
    assert block.take() == (0, "abc")
    block.add("d")
    assert block.take() is None, "only one commit is on its way at a time"
    block.done(None)
    assert (block.stored, block.take()) == (3, (3, "d"))


def test_there_is_room_for_a_million_characters_whatever_their_pieces() -> None:
    for piece in ("x" * 10_000, "x" * 1_000_000):
        block = growing()
        for _ in range(MAX_WAITING // len(piece) - 1):
            assert block.add(piece)
        assert not block.add(piece)
        block.take()
        assert block.add("x"), "what is on its way waits no longer"


def test_text_that_the_disk_refused_is_kept_and_the_error_raised_once() -> None:
    block = growing()
    block.add("ab")
    block.take()
    block.add("c")
    block.done(StoreFull("full"))
    with pytest.raises(StoreFull):
        block.check()
    block.check()
    block.add("d")
    assert block.take() == (0, "abcd")


def test_text_that_is_given_with_an_error_is_not_taken_and_may_be_given_again() -> None:
    block = growing()
    block.add("a")
    block.take()
    block.done(StoreFull("full"))
    with pytest.raises(StoreFull):
        block.add("b")
    assert (block.length, block.rest()) == (1, (0, "a"))
    block.add("b")
    assert block.take() == (0, "ab")


@pytest.mark.parametrize("error", [BlockEnded("ended"), RunCancelled("cancelled")])
def test_text_that_came_too_late_is_dropped_and_the_error_stays(error: Exception) -> None:
    block = growing()
    block.add("ab")
    block.take()
    block.done(error)
    for use in (lambda: block.add("c"), block.check, block.check, block.rest):
        with pytest.raises(type(error)):
            use()
    assert block.take() is None


def test_who_waits_beside_a_writer_that_never_pauses_is_called_once_what_was_written_before_is_stored() -> None:
    block, called = growing(), list[str]()
    block.add("a")
    block.take()
    block.add("b")
    block.when_stored(lambda: called.append("told"))
    for text in ("c", "d"):
        block.add(text)
        assert called == []
        block.done(None)
        block.take()
        block.add("more")
    assert called == ["told"]


def test_who_waits_for_the_text_to_be_stored_is_called_once_all_is() -> None:
    block, called = growing(), list[str]()
    block.when_stored(lambda: called.append("at once"))
    assert called == ["at once"]
    block.add("a")
    block.take()
    block.add("b")
    block.when_stored(lambda: called.append("later"))
    block.done(None)
    assert called == ["at once"]
    block.take()
    block.done(None)
    assert called == ["at once", "later"]


def test_who_waits_is_called_when_something_went_wrong() -> None:
    block, called = growing(), list[str]()
    block.add("a")
    block.take()
    block.when_stored(lambda: called.append("told"))
    block.done(StoreFull("full"))
    assert called == ["told"]


def test_a_stopped_block_commits_no_more_and_gives_the_rest_to_its_end() -> None:
    block, called = growing(), list[str]()
    block.add("a")
    block.take()
    block.add("b")
    block.stop(lambda: called.append("quiet"))
    assert called == []
    block.done(None)
    assert (called, block.take(), block.rest(), block.stored) == (["quiet"], None, (1, "b"), 1)
    with pytest.raises(BlockEnded):
        block.add("c")


def test_a_piece_whose_answer_was_lost_is_stored_once_with_what_follows_it(path: Path) -> None:
    with ChatStore(path) as store:
        history, core = store.history("c"), store._open()
        block = Growing(ContextRef("c"), history.open_message().block, Marked())  # type: ignore[arg-type]
        for text in ("one ", "two "):
            block.add(text)
            taken = block.take()
            assert taken is not None and taken[0] == 0
            core.committer.run(block.write_text(*taken))
            block.done(Unanswered("lost"))
            with pytest.raises(Unanswered):
                block.check()
        assert history.get_messages()[0].text == "one two "
        block.add("three")
        assert core.committer.run(block.end_block(Ending("closed"))).text == "one two three"
        assert store.check().problems == ()


def test_an_end_whose_answer_was_lost_is_the_same_when_it_is_repeated_and_no_other(path: Path) -> None:
    with ChatStore(path) as store:
        history, core = store.history("c"), store._open()
        block = Growing(ContextRef("c"), history.open_message().block, Marked())  # type: ignore[arg-type]
        block.add("text")
        ended = core.committer.run(block.end_block(Ending("closed")))
        assert core.committer.run(block.end_block(Ending("closed"))).text == ended.text == "text"
        other = Growing(ContextRef("c"), block.block, Marked())  # type: ignore[arg-type]
        with pytest.raises(BlockEnded):
            core.committer.run(other.end_block(Ending("closed")))


class Grown(RuleBasedStateMachine):
    """Whatever is written, committed and refused: the text is stored in order, none of it twice, none of it lost."""

    def __init__(self) -> None:
        super().__init__()
        self.block = growing()
        self.written = ""
        self.stored = ""
        self.doubtful = False
        self.on_its_way: tuple[int, str] | None = None

    @rule(text=st.text(max_size=5))
    def write(self, text: str) -> None:
        with suppress(StoreFull, Unanswered):  # says what went wrong before, and has not taken this
            self.block.add(text)
            self.written += text

    @rule()
    def take(self) -> None:
        taken = self.block.take()
        if taken is not None:
            assert self.on_its_way is None
            self.on_its_way = taken

    @rule(refused=st.booleans(), lost=st.booleans())
    def commit(self, refused: bool, lost: bool) -> None:
        if self.on_its_way is None:
            return
        offset, text = self.on_its_way
        assert offset == len(self.stored) or self.doubtful
        self.on_its_way = None
        self.stored += "" if refused else Rest(offset, text).behind(self.stored)
        self.doubtful = lost or (refused and self.doubtful)
        self.block.done(Unanswered("lost") if lost else StoreFull("full") if refused else None)

    @invariant()
    def nothing_is_lost(self) -> None:
        rest = self.block.rest()
        on_its_way = "" if self.on_its_way is None else self.on_its_way[1]
        text = Rest(self.block.stored, on_its_way + rest.text)
        assert self.stored + text.behind(self.stored) == self.written
        assert self.block.stored == len(self.stored) or self.doubtful


TestGrown = Grown.TestCase
