"""Pages and windows are bounded by what blocks weigh, wherever it is."""

from __future__ import annotations

from typing import Any

import pytest

from chatstore import BlockAdded, Part, TextAppended
from chatstore.live.paging import FIRST, LONGEST, PageSize, weight
from chatstore.model import Block
from chatstore.operations.weighing import ENOUGH


def added(**fields: Any) -> BlockAdded:
    empty: dict[str, Any] = {"text": "", "data": None, "usage": None, "parts": ()}
    return BlockAdded.model_construct(block=Block.model_construct(**{**empty, **fields}))


@pytest.mark.parametrize(
    "fields",
    [
        {"text": "x" * 1000},
        {"data": {"a": ["x" * 1000]}},
        {"data": {"x" * 1000: 1}},
        {"usage": {"a": "x" * 1000}},
        {"parts": (Part(type="text", text="x" * 1000),)},
        {"parts": (Part(type="image", url="x" * 1000),)},
    ],
)
def test_all_that_is_in_a_block_weighs(fields: dict[str, Any]) -> None:
    assert 1000 <= weight(added(**fields)) < 1300
    assert weight(TextAppended.model_construct(text="x" * 1000)) == 1000


def test_pages_grow_while_they_are_light_and_shrink_when_they_are_heavy() -> None:
    size = PageSize()
    assert size.limit == FIRST
    for _ in range(10):
        size.learn([added(text="x")])
    assert size.limit == LONGEST
    for _ in range(10):
        size.learn([added(text="x" * ENOUGH)])
    assert size.limit == 1
    size.learn([added(text="x")])
    assert size.limit == 2
    size.learn([added(text="x")], is_full=True)
    assert size.limit == 1, "what was read weighed enough, whatever the changes keep of it"
