"""Ids: UUIDs of version 7, and a block's place is in its own."""

from __future__ import annotations

import uuid

from hypothesis import given
from hypothesis import strategies as st

from chatstore import ids

TIMES = st.integers(0, 2**48 * 1000 - 1)
PLACES = st.integers(0, 2**32 - 1)


@given(now=TIMES, index=PLACES)
def test_a_blocks_id_is_a_uuid7_of_its_time_with_its_place_in_it(now: int, index: int) -> None:
    raw = ids.block_id(now, index)
    as_uuid = uuid.UUID(bytes=raw)
    assert (as_uuid.version, as_uuid.variant) == (7, uuid.RFC_4122)
    assert int.from_bytes(raw[:6]) == now // 1000
    assert ids.index_of(raw) == index
    assert ids.id_bytes(ids.id_text(raw)) == raw


@given(now=TIMES)
def test_other_ids_are_uuid7_too(now: int) -> None:
    as_uuid = uuid.UUID(bytes=ids.new_id(now))
    assert (as_uuid.version, as_uuid.variant) == (7, uuid.RFC_4122)
    assert as_uuid.bytes[:6] == (now // 1000).to_bytes(6)


@given(now=TIMES, places=st.lists(PLACES, min_size=2, max_size=5, unique=True))
def test_the_ids_of_one_moment_are_in_the_order_of_their_places(now: int, places: list[int]) -> None:
    assert sorted(places) == [ids.index_of(one) for one in sorted(ids.block_id(now, place) for place in places)]


def test_ids_of_the_same_time_and_place_differ() -> None:
    assert len({ids.block_id(1, 0) for _ in range(1_000)}) == 1_000
