"""What a recorder makes of a framework's events: steps that blocks are written by, without a store.

A script reads one event after the other and says what is to be written. It names a block by a key of its own, such as
a message's id or the index of a call, which is forgotten with the run. Whether what it says is written by a thread or
in an event loop is no affair of a script.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Generic, TypeAlias, TypeVar

from chatstore.model import JsonValue, Part, Tag

E_contra = TypeVar("E_contra", contravariant=True)
Key: TypeAlias = Hashable
_LARGEST: Final = 2**63
PROMPT: Final[Key] = "prompt"
"""The key of what the person said, as the recording was told it."""


@dataclass(slots=True)
class Begin:
    """A block that grows begins. `parent`: the key of another block of the recording."""

    key: Key
    type: str = "message"
    role: str | None = None
    author: str | None = None
    data: JsonValue = None
    tags: Sequence[Tag] = ()
    internal: bool = False
    parent: Key | None = None


@dataclass(slots=True)
class Grow:
    """Text is appended to it."""

    key: Key
    text: str


@dataclass(slots=True)
class Finish:
    """It ends. `text`: all of it, as the event says that ends it; what of this has not come before is appended.

    With `error` it ends as failed.
    """

    key: Key
    text: str | None = None
    data: JsonValue = None
    usage: Mapping[str, JsonValue] | None = None
    error: str | None = None


@dataclass(slots=True)
class Put:
    """A block is there, whole. One with a key can be the parent of others."""

    type: str = "message"
    role: str | None = None
    text: str = ""
    key: Key | None = None
    author: str | None = None
    data: JsonValue = None
    parts: Sequence[Part] = ()
    tags: Sequence[Tag] = ()
    internal: bool = False
    parent: Key | None = None
    usage: Mapping[str, JsonValue] | None = None


@dataclass(slots=True)
class Mark:
    """A block that has ended gets tags, or what it cost, if the recording knows its key."""

    key: Key
    tags: Sequence[Tag] = ()
    usage: Mapping[str, JsonValue] | None = None


@dataclass(slots=True)
class Spend:
    """What the whole run cost so far, in place of what was said before."""

    usage: Mapping[str, JsonValue]


Step: TypeAlias = Begin | Grow | Finish | Put | Mark | Spend


class Script(ABC, Generic[E_contra]):
    """What the events of one stream mean. One is made for each recording.

    `complete`: the event has come that ends such a stream as it should end. `error`: what the events said went wrong,
    where the framework says it by an event. `stopped`: the stream ended early because somebody asked the framework to.
    """

    extra: ClassVar[str]
    """The extra of chatstore that the framework is installed with."""
    has_end: ClassVar[bool] = True
    """Whether such streams have an event that ends them; one of those that have none is whole when no more comes."""
    written_by: ClassVar[tuple[str, str] | None] = None
    """A context key, and who writes the histories that have it: they have everything already, and are refused."""

    def __init__(self) -> None:
        self.complete = False
        self.error: str | None = None
        self.stopped = False

    def meet(self, writer: Any) -> None:
        """Who writes what this script says: a ScriptWriter or an AsyncScriptWriter, for a script that is told of events
        by others than the stream. It is told before anything is written; nothing may hold the writer because of it."""

    def unasked(self) -> Iterable[Step]:
        """What is to be written before any event, where the recording was not told what the person said."""
        return ()

    def asked(self, prompt: str) -> Iterable[Step]:
        """What is to be written before any event, where the recording was told what the person said."""
        yield Put(role="user", text=prompt, key=PROMPT)

    @abstractmethod
    def read(self, event: E_contra) -> Iterable[Step]:
        """What is to be written now that this event has come."""

    def finish(self) -> Iterable[Step]:
        """What is to be written when the stream has ended as it should."""
        return ()

    def spent(self) -> Mapping[str, JsonValue] | None:
        """What the run cost, however it ended, where that is known better than by Spend."""
        return None

    def told(self, error: Exception) -> Exception:
        """What the stream raised, as the run may tell it to people; what it leaves out is the cause of it."""
        return error


def as_json(value: Any) -> JsonValue:
    """A value as the store takes it: what is no JSON is given as text."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, (int, float)):
        return value if abs(value) < _LARGEST else str(value)  # neither is NaN below anything
    if isinstance(value, Mapping):
        return {str(name): as_json(one) for name, one in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [as_json(one) for one in value]
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    return str(value)
