"""A selection as conditions on `blocks`, each served by an index."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from sqlalchemy import ColumnElement, bindparam, false, literal, literal_column, select

from chatstore.kinds import CALL_TYPES, PROMPT, TRANSCRIPT, Selection, speakers
from chatstore.schema import blocks, in_prompt, in_transcript, no_message, not_closed, tags

_COLUMNS = {
    "types": blocks.c.type,
    "roles": blocks.c.role,
    "authors": blocks.c.author,
    "states": blocks.c.state,
}

MOST_BRANCHES = 48

Condition: TypeAlias = tuple[ColumnElement[bool], ...]


@dataclass(frozen=True, slots=True)
class Shape:
    """What of a selection decides the statement; all else are values. Statements are compiled once for each shape.

    `speakers`: who says the messages that may be meant. `other_types`: the places of the types beside messages among
    the values, where types are given.
    """

    views: int
    counts: tuple[int | None, ...]
    speakers: tuple[int, ...]
    other_types: tuple[int, ...] | None
    run: bool
    tags: int
    only_unusual_states: bool

    def count(self, name: str) -> int | None:
        """How many values a filter has; None where it is open."""
        return self.counts[list(_COLUMNS).index(name)]


def shape(selection: Selection) -> Shape:
    """The shape of a selection."""
    chosen = (getattr(selection, name) for name in _COLUMNS)
    types = None if selection.types is None else sorted(selection.types)
    messages = types is None or "message" in types
    return Shape(
        views=selection.views,
        counts=tuple(None if values is None else len(values) for values in chosen),
        speakers=speakers(selection.views, selection.roles) if messages else (),
        other_types=None if types is None else tuple(n for n, type in enumerate(types) if type != "message"),
        run=selection.run is not None,
        tags=len(selection.tags),
        only_unusual_states=selection.states is not None and "closed" not in selection.states,
    )


def values(selection: Selection) -> dict[str, object]:
    """The values for a statement of the selection's shape."""
    bound: dict[str, object] = {} if selection.run is None else {"run": selection.run}
    for name in _COLUMNS:
        # Sorted here and in `shape`, for a set has no order: the places of `other_types` have to mean the same values.
        for number, value in enumerate(sorted(getattr(selection, name) or ())):
            bound[f"{name}_{number}"] = value
    for number, (kind, tag) in enumerate(selection.tags):
        bound |= {f"kind_{number}": kind, f"name_{number}": tag}
    return bound


def conditions(shape: Shape) -> list[ColumnElement[bool]]:
    """What holds for the blocks of a selection, beside `history_id`, which the statement binds as `history_id`."""
    found = _single_conditions(shape)
    for (name, column), count in zip(_COLUMNS.items(), shape.counts, strict=True):
        if count == 0:
            found.append(false())
        elif count is not None and count != 1:
            found.append(column.in_([bindparam(f"{name}_{number}") for number in range(count)]))
    return found


def branches(shape: Shape) -> list[list[ColumnElement[bool]]]:
    """The same, as selections that are read one by one and merged; no block is in two of them.

    An index has the blocks of one type in order, but not those of two. So where a list is what narrows a selection,
    there is a branch for each of its values: each in order and each as short as the whole result may be.
    """
    if shape.run or shape.tags or shape.count("authors") == 1:
        return [conditions(shape)]
    if shape.only_unusual_states:
        narrowing = _each("states", shape)
    elif shape.views or shape.count("types") is not None or shape.count("roles") is not None:
        narrowing = [*_messages(shape), *_beside_messages(shape)]
    else:
        narrowing = _each("authors", shape)
    if not 0 < len(narrowing) <= MOST_BRANCHES:
        return [conditions(shape)]
    return [[*one, *conditions(shape)] for one in narrowing]


def _messages(shape: Shape) -> list[Condition]:
    return [(blocks.c.speaker == literal_column(str(speaker)),) for speaker in shape.speakers]


def _beside_messages(shape: Shape) -> list[Condition]:
    """What narrows a selection of blocks that are no messages: their types, or else their roles."""
    if shape.other_types is not None:
        return [(no_message, blocks.c.type == bindparam(f"types_{number}")) for number in shape.other_types]
    if shape.views == TRANSCRIPT:
        return []
    if shape.views == PROMPT:
        return [(no_message, blocks.c.type == literal(type)) for type in sorted(CALL_TYPES)]
    return [(no_message, *one) for one in _each("roles", shape)]


def _each(name: str, shape: Shape) -> list[Condition]:
    return [(_COLUMNS[name] == bindparam(f"{name}_{number}"),) for number in range(shape.count(name) or 0)]


def _single_conditions(shape: Shape) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if shape.views == TRANSCRIPT:
        found.append(in_transcript)
    elif shape.views == PROMPT:
        found.append(in_prompt)
    for (name, column), count in zip(_COLUMNS.items(), shape.counts, strict=True):
        if count == 1:  # equality keeps the index's order, a list of one does not
            found.append(column == bindparam(f"{name}_0"))
    if shape.only_unusual_states:
        found.append(not_closed)
    if shape.run:
        found.append(blocks.c.run_id == bindparam("run"))
    found.extend(_tagged(number) for number in range(shape.tags))
    return found


def _tagged(number: int) -> ColumnElement[bool]:
    return blocks.c.index.in_(
        select(tags.c.block_index).where(
            tags.c.history_id == bindparam("history_id"),
            tags.c.kind == bindparam(f"kind_{number}"),
            tags.c.name == bindparam(f"name_{number}"),
        )
    )
