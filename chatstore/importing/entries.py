"""What readers give: entries of a source, each with the blocks that it makes, and what could not be read."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final, Literal, TypeAlias

from chatstore.model import JsonValue, Tag
from chatstore.recorders import Put

AGENTS: Final = "/agents/"
"""What is between a session's id and an agent's in the id of the context that the agent has."""
TRUNCATED: Final = "truncated"
"""The name of the tag on what a source ended in the middle of; its value is the entry's key."""
PlaceIn: TypeAlias = Literal["order", "whole", "piece"]
"""How a source and the context of a conversation belong together, where names of conversations are not unique.

- `order`: the source has the whole conversation, and its ids are given again to others: what is stored is compared with
  it one by one, and entries go by their number.
- `whole`: the source has the whole conversation, and its ids are unique: its first entry must be what is stored first.
- `piece`: the source may have what follows on others.
"""


@dataclass(slots=True)
class Entry:
    """A message, an item or an event of a source: all its blocks are stored, or none.

    `key` names it within its context for good, so that it is stored once however often the source is read, also where
    that has grown. Blocks have keys where others name them as their parent. `run`: the run that its blocks are of.
    `by_key`: of two with the same key the first stands, also where the other tells it in another way.
    `place_in`: how its source is known for the one that its context is of.
    """

    context: str
    place: str
    key: str
    puts: Sequence[Put]
    run: str | None = None
    by_key: bool = False
    place_in: PlaceIn = "whole"


@dataclass(slots=True)
class Later:
    """What is known of a block only behind its entry: what it cost, and tags."""

    context: str
    place: str
    block: Hashable
    usage: Mapping[str, JsonValue] | None = None
    tags: Sequence[Tag] = ()


@dataclass(frozen=True, slots=True)
class Unread:
    """What is refused, and why."""

    place: str
    reason: str


@dataclass(frozen=True, slots=True)
class Left:
    """What is there and is left out on purpose."""

    place: str
    what: str


Found: TypeAlias = Entry | Later | Unread | Left


@dataclass(slots=True)
class Meter:
    """How far a reader is: of `total`, where that is known."""

    done: int = 0
    total: int | None = None


@dataclass(slots=True)
class Source:
    """A file that is open. `path`: where it is; None for standard input. `name`: what it is called, without endings."""

    name: str
    raw: BinaryIO
    path: Path | None = None
    meter: Meter = field(default_factory=Meter)


Reader: TypeAlias = Callable[[Source], Iterator[Found]]
