"""How a JSON value differs from the one expected in its place, as JSON; and back again.

None where they are equal, else one of

    {"value": v}                            v instead
    {"from": reference}                     a value that is kept elsewhere, so that nothing is kept twice
    {"items": [...]}                        a list: of each item the difference from the expected one at its place
    {"with": {}, "without": [], "within": {}}
                                            an object: members to set, members to leave out, and the differences of
                                            members from the expected ones; what is empty is left out
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeAlias

from chatstore.model import JsonValue

Reference: TypeAlias = list[str | int]
Node: TypeAlias = dict[str, Any]

_WORTH_A_REFERENCE: Final = 25
"""Characters of a value from which on a reference to it is shorter."""


class Sources:
    """Values kept elsewhere, found by their content."""

    def __init__(self, values: Iterable[tuple[Reference, JsonValue]]) -> None:
        contents = ((_content(value), reference) for reference, value in values)
        self._references = {content: reference for content, reference in contents if content is not None}

    def find(self, value: JsonValue) -> Reference | None:
        """Where an equal value is kept."""
        content = _content(value) if self._references else None
        return None if content is None else self._references.get(content)


def same(one: JsonValue, other: JsonValue) -> bool:
    """Whether two JSON values are equal in type too: 1, 1.0 and true are three values."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def members(expected: dict[str, JsonValue], wanted: dict[str, JsonValue], sources: Sources) -> Node:
    """The difference of two objects; empty where they are equal."""
    set_, within = {}, {}
    for key, value in wanted.items():
        if key in expected and same(expected[key], value):
            continue
        node = _node(expected.get(key), value, sources)
        if "value" in node:
            set_[key] = value
        else:
            within[key] = node
    parts = {"with": set_, "without": [key for key in expected if key not in wanted], "within": within}
    return {name: part for name, part in parts.items() if part}


def restore(expected: JsonValue, node: Node, resolve: Callable[[Reference], JsonValue]) -> JsonValue:
    """The value that differs from the expected one by a node."""
    if "value" in node:
        return node["value"]
    if "from" in node:
        return resolve(node["from"])
    if "items" in node:
        known = expected if isinstance(expected, list) else []
        return [
            known[place] if item is None else restore(known[place] if place < len(known) else None, item, resolve)
            for place, item in enumerate(node["items"])
        ]
    base = expected if isinstance(expected, dict) else {}
    value = {key: member for key, member in base.items() if key not in node.get("without", ())} | node.get("with", {})
    return value | {key: restore(base.get(key), inner, resolve) for key, inner in node.get("within", {}).items()}


def _node(expected: JsonValue, wanted: JsonValue, sources: Sources) -> Node:
    reference = sources.find(wanted)
    if reference is not None:
        return {"from": reference}
    if isinstance(wanted, dict):
        node = members(expected if isinstance(expected, dict) else {}, wanted, sources)
        return node if "within" in node or (isinstance(expected, dict) and expected) else {"value": wanted}
    if isinstance(wanted, list):
        return _items(expected if isinstance(expected, list) else [], wanted, sources)
    return {"value": wanted}


def _items(expected: list[JsonValue], wanted: list[JsonValue], sources: Sources) -> Node:
    nodes: list[Node | None] = []
    for place, value in enumerate(wanted):
        known = expected[place] if place < len(expected) else None
        nodes.append(None if place < len(expected) and same(known, value) else _node(known, value, sources))
    return {"value": wanted} if all(node and "value" in node for node in nodes) else {"items": nodes}


def _content(value: JsonValue) -> str | None:
    """What equal values have in common; None for one that is shorter than a reference to it."""
    if isinstance(value, (dict, list)):
        # The NUL keeps it apart from a string that reads the same.
        text = "\0" + json.dumps(value, sort_keys=True)
    else:
        text = value if isinstance(value, str) else ""
    return text if len(text) >= _WORTH_A_REFERENCE else None
