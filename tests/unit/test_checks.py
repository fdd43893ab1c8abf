"""Checks: what passes unchanged, what is refused, and how that is said."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatstore import InvalidData, InvalidInput, InvalidText, LimitExceeded, checks
from chatstore.testing.conformance.content import exact, nested, values


@given(text=st.text())
def test_text_passes_unchanged_unless_utf_8_cannot_carry_it(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        with pytest.raises(InvalidText, match="surrogate"):
            checks.text(text, "text")
    else:
        assert checks.text(text, "text") is text


def test_a_surrogate_is_said_with_its_place() -> None:
    with pytest.raises(InvalidText, match=r"the role has a lone surrogate \(U\+DC80\) at character 2"):
        checks.name("ab\udc80", "the role")


@pytest.mark.parametrize("value", [None, 5, b"x", ["x"]])
def test_what_is_not_str_is_no_text(value: object) -> None:
    with pytest.raises(InvalidInput, match=type(value).__name__):
        checks.text(value, "text")


@pytest.mark.parametrize("length", [1, 999, 1000])
def test_names_up_to_a_thousand_characters_pass(length: int) -> None:
    assert checks.context_id("💬" * length) == "💬" * length


@pytest.mark.parametrize(("name", "error"), [("", InvalidInput), ("x" * 1001, LimitExceeded), ("\0", InvalidText)])
def test_other_names_are_refused(name: str, error: type[InvalidInput]) -> None:
    with pytest.raises(error):
        checks.name(name, "the name")


@given(value=values)
def test_json_reads_back_exactly(value: Any) -> None:
    assert exact(json.loads(checks.json_text(value, "data"))) == exact(value)


@pytest.mark.parametrize("depth", [1, 99, 100])
def test_json_down_to_a_hundred_levels_passes(depth: int) -> None:
    assert json.loads(checks.json_text(nested(depth), "data")) == nested(depth)


@pytest.mark.parametrize("value", [math.nan, math.inf, 2**63, -(2**63) - 1, {1: 2}, b"", {1}, object(), ..., 1j])
@pytest.mark.parametrize("around", [lambda value: value, lambda value: [value], lambda value: {"a": (0, value)}])
def test_what_json_cannot_carry_is_refused_at_any_depth(value: object, around: Any) -> None:
    with pytest.raises(InvalidData):
        checks.json_text(around(value), "data")


def test_a_list_that_holds_itself_many_times_is_refused_at_once() -> None:
    value: list[Any] = []
    value.extend([value] * 10)
    with pytest.raises(LimitExceeded):
        checks.json_text(value, "data")


@given(keys=st.dictionaries(st.text(min_size=1), st.text(min_size=1), min_size=1))
def test_context_keys_read_equal_whatever_their_order(keys: dict[str, str]) -> None:
    turned = dict(reversed(keys.items()))
    try:
        assert [*checks.context_keys(keys).items()] == [*checks.context_keys(turned).items()]
    except InvalidText:
        with pytest.raises(InvalidText):
            checks.context_keys(turned)


@pytest.mark.parametrize("value", [-1, 1.0, True, "1", None, 2**63])
def test_what_is_no_number_of_blocks_is_refused(value: object) -> None:
    with pytest.raises(InvalidInput):
        checks.count(value, "limit")


@pytest.mark.parametrize(
    "value", [-0.1, math.nan, math.inf, True, "1", None, 10**400], ids=lambda value: ascii(value)[:20]
)
def test_what_is_no_time_to_wait_is_refused(value: object) -> None:
    with pytest.raises(InvalidInput):
        checks.seconds(value, "timeout")


@pytest.mark.parametrize("value", [0, 1, 0.5, 10**9])
def test_a_time_to_wait_is_seconds(value: float) -> None:
    assert checks.seconds(value, "timeout") == value
