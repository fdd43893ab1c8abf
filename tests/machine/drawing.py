"""What the steps of the machine are made of."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

TYPES = ("message", "message", "message", "status", "reasoning", "note")
ROLES = (None, "user", "assistant", "system", "tool")
AUTHORS = (None, "planner", "critic")
TAGS = (("topic", "a"), ("topic", "b"), ("mark", "a"))
STATES = ("open", "closed", "failed", "cancelled", "interrupted")

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
tokens = st.lists(st.text("ab\0é🙂\n", min_size=1, max_size=3), min_size=1, max_size=5)
values = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | texts | st.lists(texts, max_size=2)
picks = st.integers(0, 999)
"""Which of those that there are: the number is taken modulo how many."""
tags = st.builds(lambda name, value: (*name, value), st.sampled_from(TAGS), values)
usages = st.dictionaries(st.sampled_from(["input_tokens", "output_tokens"]), st.integers(0, 10**6), max_size=2)

openings = st.fixed_dictionaries(
    {
        "type": st.sampled_from(TYPES),
        "role": st.sampled_from(ROLES),
        "author": st.sampled_from(AUTHORS),
        "internal": st.booleans(),
        "tags": st.lists(tags, max_size=2, unique_by=lambda tag: tag[:2]),
    }
)
drafts = st.builds(
    lambda opening, text, data, usage: {**opening, "text": text, "data": data, "usage": usage},
    openings,
    texts,
    values,
    st.none() | usages,
)
batches = st.lists(drafts, min_size=1, max_size=4)


def _some(known: tuple[Any, ...]) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.sampled_from(known), min_size=1, max_size=3, unique=True)


lasting_filters = st.fixed_dictionaries(
    {},
    optional={
        "kind": st.sampled_from(["transcript", "prompt", "trace"]),
        "types": _some(tuple(dict.fromkeys(TYPES))),
        "roles": _some(ROLES[1:]),
        "authors": _some(AUTHORS[1:]),
    },
)
"""By what never changes of a block."""
filters: st.SearchStrategy[dict[str, Any]] = st.just({}) | st.builds(
    lambda lasting, passing: {**lasting, **passing},
    lasting_filters,
    st.fixed_dictionaries({}, optional={"states": _some(STATES), "tags": _some(TAGS)}),
)
windows = st.fixed_dictionaries(
    {"after": st.none() | picks, "before": st.none() | picks},
    optional={"last": st.integers(0, 9)},
) | st.fixed_dictionaries({"after": st.none(), "before": st.none(), "limit": st.integers(0, 9)})
endings = st.one_of(
    st.tuples(st.just("close"), st.none(), st.none() | usages),
    st.tuples(st.just("close"), st.dictionaries(st.just("k"), values, max_size=1), st.none()),
    st.tuples(st.just("fail"), texts, st.none()),
    st.tuples(st.just("cancel"), st.none(), st.none()),
)
