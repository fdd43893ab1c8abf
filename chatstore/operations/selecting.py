"""A selection as conditions on `blocks`, each served by an index."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlalchemy import ColumnElement, bindparam, false, select

from chatstore.kinds import PROMPT, TRANSCRIPT, Selection
from chatstore.schema import blocks, in_prompt, in_transcript, not_closed, tags

_COLUMNS = {
    "types": blocks.c.type,
    "roles": blocks.c.role,
    "authors": blocks.c.author,
    "states": blocks.c.state,
}

MOST_BRANCHES = 16


@dataclass(frozen=True, slots=True)
class Shape:
    """What of a selection decides the statement; all else are values. Statements are compiled once for each shape."""

    views: int
    counts: tuple[int | None, ...]
    run: bool
    tags: int
    only_unusual_states: bool


def shape(selection: Selection) -> Shape:
    """The shape of a selection."""
    chosen = (getattr(selection, name) for name in _COLUMNS)
    return Shape(
        views=selection.views,
        counts=tuple(None if values is None else len(values) for values in chosen),
        run=selection.run is not None,
        tags=len(selection.tags),
        only_unusual_states=selection.states is not None and "closed" not in selection.states,
    )


def values(selection: Selection) -> dict[str, object]:
    """The values for a statement of the selection's shape."""
    bound: dict[str, object] = {} if selection.run is None else {"run": selection.run}
    for name in _COLUMNS:
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
    """The same, as selections that are read one by one and merged.

    An index has the blocks of one type in order, but not those of two. So where a list is what narrows a selection,
    there is a branch for each of its values: each in order and each as short as the whole result may be.
    """
    counts = dict(zip(_COLUMNS, shape.counts, strict=True))
    narrow = shape.run or shape.tags or 1 in (counts["types"], counts["authors"])
    listed = next((name for name, count in counts.items() if count is not None and 1 < count <= MOST_BRANCHES), None)
    if narrow or listed is None:
        return [conditions(shape)]
    rest = replace(shape, counts=tuple(None if name == listed else count for name, count in counts.items()))
    return [
        [_COLUMNS[listed] == bindparam(f"{listed}_{number}"), *conditions(rest)]
        for number in range(counts[listed] or 0)
    ]


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
