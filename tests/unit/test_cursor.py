"""Cursors: made, read back, ordered, refused."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatstore import InvalidCursor
from chatstore.cursor import CursorFactory, context_mark, sequence_of

STORE, OTHER = "0123456789ab", "ba9876543210"
contexts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
sequences = st.integers(0, 10**12 - 1)


@given(context=contexts, sequence=sequences)
def test_a_cursor_reads_back_as_its_number(context: str, sequence: int) -> None:
    factory = CursorFactory(STORE, context)
    assert factory.sequence(factory.at(sequence)) == sequence == sequence_of(factory.at(sequence))


@given(one=sequences, two=sequences)
def test_cursors_are_ordered_as_text(one: int, two: int) -> None:
    factory = CursorFactory(STORE, "c")
    assert (factory.at(one) < factory.at(two)) == (one < two)


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
