"""Writes that wait for their commit, without a database."""

from __future__ import annotations

from typing import cast

import pytest

from chatstore import Conflict, StoreFull
from chatstore.model import BlockDraft
from chatstore.operations.appending import Append
from chatstore.operations.transaction import ContextRef, Transaction
from chatstore.writing import drafts
from chatstore.writing.pending import Pending, settle

NO_TRANSACTION = cast("Transaction", None)


def test_what_was_refused_in_one_try_and_taken_in_the_next_is_taken() -> None:
    answers = iter([Conflict("refused", head="0"), "taken"])

    def write(_: Transaction) -> str:
        answer = next(answers)
        if isinstance(answer, Conflict):
            raise answer
        return answer

    pending = Pending(write, synced=True)
    pending.apply(NO_TRANSACTION)
    assert isinstance(pending.error, Conflict)
    pending.apply(NO_TRANSACTION)
    settle([pending])
    assert (pending.settled, pending.result()) == (True, "taken")


def test_a_refusal_stays_the_answer_when_the_others_are_committed() -> None:
    def write(_: Transaction) -> None:
        raise Conflict("refused", head="0")

    pending = Pending(write, synced=True)
    pending.apply(NO_TRANSACTION)
    settle([pending])
    with pytest.raises(Conflict):
        pending.result()


def test_what_fails_many_is_raised_to_each_as_an_error_of_its_own_with_its_cause() -> None:
    failure, cause = StoreFull("full"), OSError("no space")
    failure.__cause__ = cause
    group = [Pending(lambda _: None, synced=True) for _ in range(3)]
    settle(group, failure)
    raised = []
    for pending in group:
        with pytest.raises(StoreFull, match="full") as caught:
            pending.result()
        raised.append(caught.value)
    assert len({id(error) for error in (failure, *raised)}) == 4
    assert all(error.__cause__ is cause for error in raised)


@pytest.mark.parametrize(
    "large",
    [
        BlockDraft(text="x" * 100_000),
        BlockDraft(data="x" * 100_000),
        BlockDraft(usage={"x": "x" * 100_000}),
        BlockDraft(parts=[drafts.Part(type="image", content=b"x" * 100_000)]),
    ],
    ids=["text", "data", "usage", "bytes"],
)
def test_an_append_is_as_much_work_as_it_has_blocks_tags_and_characters(large: BlockDraft) -> None:
    tagged = BlockDraft(tags=[drafts.Tag(kind="k", name="a"), drafts.Tag(kind="k", name="b")])

    def size(*given: BlockDraft) -> int:
        return Append(ContextRef("c"), drafts.check(given)).size

    assert (size(), size(BlockDraft(text="x")), size(BlockDraft(), tagged)) == (0, 1, 4)
    assert 11 <= size(large) <= 12
