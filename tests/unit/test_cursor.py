"""Cursors: made, read back, ordered, refused."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatstore import InvalidCursor
from chatstore.cursor import MAX_SPAN, CursorFactory, Position, StoreCursors, context_mark

STORE, OTHER = "0123456789ab", "ba9876543210"
contexts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
sequences = st.integers(0, 10**12 - 1)
positions = st.builds(
    lambda sequence, span, block: Position(sequence, sequence + span, block) if span else Position(sequence),
    sequences,
    st.integers(0, MAX_SPAN),
    sequences,
)


@given(context=contexts, sequence=sequences)
def test_a_cursor_reads_back_as_its_number(context: str, sequence: int) -> None:
    factory = CursorFactory(STORE, context)
    assert factory.sequence(factory.at(sequence)) == sequence


@given(one=sequences, two=sequences)
def test_cursors_are_ordered_as_text(one: int, two: int) -> None:
    factory = CursorFactory(STORE, "c")
    assert (factory.at(one) < factory.at(two)) == (one < two)


@given(context=contexts, position=positions)
def test_a_cursor_reads_back_as_its_position(context: str, position: Position) -> None:
    factory = CursorFactory(STORE, context)
    assert factory.position(factory.between(position)) == position
    assert factory.sequence(factory.between(position)) == position.sequence


@given(sequence=st.integers(0, 10**12 - 2), blocks=st.lists(sequences, min_size=2, max_size=2), span=st.integers(1, 99))
def test_a_cursor_between_changes_is_ordered_behind_the_one_and_before_the_next(
    sequence: int, blocks: list[int], span: int
) -> None:
    factory = CursorFactory(STORE, "c")
    one, two = (factory.between(Position(sequence, sequence + span, block)) for block in sorted(blocks))
    assert factory.at(sequence) < one <= two < factory.at(sequence + 1)


@pytest.mark.parametrize(
    "tail",
    [".", ".1", ".00001", ".00001.", ".1.1", ".00001.00000000001", ".000001.000000000001", ".0000a.000000000001"],
)
def test_half_a_position_is_no_cursor(tail: str) -> None:
    with pytest.raises(InvalidCursor, match="is not a cursor"):
        CursorFactory(STORE, "c").position(CursorFactory(STORE, "c").at(1) + tail)


@given(one=st.integers(0, 10**16 - 1), two=st.integers(0, 10**16 - 1))
def test_cursors_of_a_store_read_back_and_are_ordered_as_text(one: int, two: int) -> None:
    cursors = StoreCursors(STORE)
    assert cursors.position(cursors.at(one)) == one
    assert (cursors.at(one) < cursors.at(two)) == (one < two)


def test_cursors_of_stores_and_of_contexts_are_not_taken_for_each_other() -> None:
    own = StoreCursors(STORE).at(1)
    with pytest.raises(InvalidCursor, match="is not a cursor"):
        CursorFactory(STORE, "c").position(own)
    with pytest.raises(InvalidCursor, match="is not a cursor of a store"):
        StoreCursors(STORE).position(CursorFactory(STORE, "c").at(1))
    with pytest.raises(InvalidCursor, match="another store"):
        StoreCursors(OTHER).position(own)


@given(context=contexts)
def test_a_cursor_is_safe_in_urls_headers_and_event_streams(context: str) -> None:
    cursor = CursorFactory(STORE, context).at(7)
    assert quote(cursor, safe="") == cursor
    assert len(cursor) == 38


@given(one=contexts, two=contexts)
def test_contexts_have_marks_of_their_own(one: str, two: str) -> None:
    assert (context_mark(one) == context_mark(two)) == (one == two)


@pytest.mark.parametrize(
    ("factory", "reason"),
    [(CursorFactory(OTHER, "c"), "another store"), (CursorFactory(STORE, "d"), "another context")],
)
def test_a_cursor_from_elsewhere_is_refused_and_told_apart(factory: CursorFactory, reason: str) -> None:
    with pytest.raises(InvalidCursor, match=reason):
        factory.sequence(CursorFactory(STORE, "c").at(1))


@given(text=st.text())
def test_other_text_is_no_cursor(text: str) -> None:
    with pytest.raises(InvalidCursor) as refusal:
        CursorFactory(STORE, "c").sequence(text)
    assert str(refusal.value).isascii()


def test_places_of_a_store_are_read_back_up_to_the_largest() -> None:
    cursors = StoreCursors(STORE)
    for place in (0, 10**16 - 1, 10**16, 2**63 - 1):
        assert cursors.position(cursors.at(place)) == place
