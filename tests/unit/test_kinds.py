"""Kinds and selections, decided without a database."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatstore import Block, BlockDraft, InvalidInput, InvalidText, Tag, UnknownKind
from chatstore.kinds import PROMPT, TRANSCRIPT, select, tag_names, views_of
from chatstore.testing.conformance import oracle


def stored(draft: BlockDraft, state: str = "closed") -> Block:
    fields = dict.fromkeys(Block.model_fields)
    given = {
        name: getattr(draft, name) for name in ("type", "role", "author", "run_id", "internal", "tags", "text", "parts")
    }
    return Block.model_construct(**{**fields, **given, "state": state})


@given(draft=oracle.drafts, filters=oracle.filters, state=st.sampled_from(oracle.STATES))
def test_a_selection_matches_what_the_model_selects(draft: BlockDraft, filters: dict[str, Any], state: str) -> None:
    block = stored(draft, state)
    selection = select(**{"kind": "trace", **filters})
    assert selection.matches(block) == bool(oracle.selected([block], filters))


@pytest.mark.parametrize(
    ("type", "role", "internal", "views"),
    [
        ("message", "user", False, TRANSCRIPT | PROMPT),
        ("message", "assistant", False, TRANSCRIPT | PROMPT),
        ("message", "assistant", True, PROMPT),
        ("message", "system", False, PROMPT),
        ("message", "developer", False, PROMPT),
        ("message", "tool", False, 0),
        ("message", None, False, 0),
        ("function_call", "assistant", False, PROMPT),
        ("function_result", "tool", True, PROMPT),
        ("status", "assistant", False, 0),
        ("reasoning", "assistant", False, 0),
        ("error", None, False, 0),
        ("my_own", "user", False, 0),
    ],
)
def test_a_block_belongs_to_the_kinds_of_its_type_role_and_flag(
    type: str, role: str | None, internal: bool, views: int
) -> None:
    assert views_of(type, role, internal) == views


@pytest.mark.parametrize("kind", ["", "TRACE", None, 1, ["trace"]])
def test_other_kinds_are_unknown(kind: Any) -> None:
    with pytest.raises(UnknownKind, match="transcript, prompt, trace"):
        select(kind=kind)


@pytest.mark.parametrize(
    "filters", [{"types": "message"}, {"roles": [None]}, {"states": ["done"]}, {"run": ""}, {"authors": [""]}]
)
def test_a_filter_that_is_none_is_refused(filters: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        select(kind="trace", **filters)


def test_tags_of_a_filter_are_pairs_or_tags_and_each_counts_once() -> None:
    assert tag_names([("k", "a"), Tag(kind="k", name="a"), Tag(kind="k", name="b")]) == (("k", "a"), ("k", "b"))


def test_a_tag_in_a_filter_is_checked_as_a_pair_is() -> None:
    for tag in (("k", "\ud800"), Tag(kind="k", name="\ud800")):
        with pytest.raises(InvalidText):
            tag_names([tag])
