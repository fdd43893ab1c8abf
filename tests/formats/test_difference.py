"""Differences of JSON values: restored they are the value again, and what is kept elsewhere is not kept in them."""

from __future__ import annotations

import json
from typing import Any

from data_support import canonical
from hypothesis import given
from hypothesis import strategies as st

from chatstore.formats.difference import Sources, members, restore, same

TEXT = "a text that is long enough to be referred to"

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
keys = st.sampled_from(["role", "content", "value", "from", "items", "with", "without", "within", "blocks"]) | st.text()
values = st.recursive(
    scalars | st.just(TEXT),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=20,
)
objects = st.dictionaries(keys, values, max_size=5)


def there_and_back(expected: dict[str, Any], wanted: dict[str, Any], kept: list[Any]) -> object:
    sources = Sources(([place], value) for place, value in enumerate(kept))
    stored = json.loads(json.dumps(members(expected, wanted, sources)))
    return restore(expected, stored, lambda reference: kept[int(reference[0])])


@given(objects, objects, st.lists(values, max_size=3))
def test_a_restored_difference_is_the_value(expected: dict[str, Any], wanted: dict[str, Any], kept: list[Any]) -> None:
    assert canonical(there_and_back(expected, wanted, [*kept, TEXT])) == canonical(wanted)


@given(objects, values)
def test_the_difference_of_equal_values_is_empty(value: dict[str, Any], kept: Any) -> None:
    assert members(value, json.loads(json.dumps(value)), Sources([([0], kept)])) == {}


@given(values, values)
def test_same_is_equality_of_values_and_types(one: Any, other: Any) -> None:
    if one != -0.0 and other != -0.0:
        assert same(one, other) == (canonical(one) == canonical(other))


def test_numbers_and_truth_values_are_told_apart() -> None:
    assert not same(1, True)
    assert not same(1, 1.0)
    assert not same({"a": [0]}, {"a": [False]})


def test_what_is_kept_elsewhere_is_referred_to() -> None:
    arguments = {"city": "Paris", "unit": "celsius", "days": 3}
    wanted = {"role": "user", "said": [{"deep": TEXT}, 1], "arguments": dict(reversed(arguments.items()))}
    sources = Sources([([0, "text"], TEXT), ([1, "arguments"], arguments)])
    assert members({"role": "user", "content": TEXT}, wanted, sources) == {
        "without": ["content"],
        "within": {
            "said": {"items": [{"within": {"deep": {"from": [0, "text"]}}}, {"value": 1}]},
            "arguments": {"from": [1, "arguments"]},
        },
    }


def test_a_string_is_never_taken_for_a_container_that_reads_the_same() -> None:
    container = ["long enough to be worth a reference"]
    wanted = {"a": json.dumps(container)}
    assert there_and_back({}, wanted, [container]) == wanted
