"""What a history is made of: tags, parts, blocks, runs and contexts, as frozen pydantic models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Final, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from chatstore import checks
from chatstore.cursor import Cursor

JsonValue: TypeAlias = Any
"""A JSON value: None, bool, int of at most 64 bits, finite float, str, list, or dict with str keys."""

PartType = Literal["text", "image", "audio", "file"]
State = Literal["open", "closed", "failed", "cancelled", "interrupted"]
_MAX_DAYS: Final = 1_000_000
_set = object.__setattr__
RunState = Literal["running", "completed", "failed", "cancelled", "interrupted"]


class Model(BaseModel):
    """Base of the models: frozen, and closed to unknown fields."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        defer_build=True,  # with the first use: it is a sixth of the time that importing chatstore takes
    )
    _names: ClassVar[set[str]] = set()

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        cls._names = {*cls.model_fields}

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Leaves out what is None or an empty tuple: half of a block is."""
        return ((name, value) for name, value in super().__repr_args__() if value is not None and value != ())

    def __str__(self) -> str:
        return repr(self)  # with the name of the class: it is what tells one change from another

    @classmethod
    def made(cls, **values: Any) -> Self:
        """A model of values for all its fields, which are known to be right: `model_construct` in half its time.

        Models are frozen, so all of one class can share the set of their fields.
        """
        model = cls.__new__(cls)
        _set(model, "__dict__", values)
        _set(model, "__pydantic_fields_set__", cls._names)
        _set(model, "__pydantic_extra__", None)
        _set(model, "__pydantic_private__", None)
        return model


class Tag(Model):
    """A label on a block or a history, unique there by `kind` and `name`."""

    kind: str
    name: str
    value: JsonValue = None


class Part(Model):
    """One piece of a multimodal block: text, or an image, audio or file given by `url` or by its bytes.

    A draft carries bytes in `content`. A stored part carries their `digest` (SHA-256, hexadecimal) and `size` in
    bytes instead, and `read_bytes(part)` of the store reads them when they are wanted.
    """

    type: PartType
    mime_type: str | None = None
    text: str | None = None
    url: str | None = None
    name: str | None = None
    content: bytes | None = Field(default=None, repr=False)
    digest: str | None = None
    size: int | None = None


class BlockDraft(Model):
    """A block that is to be appended.

    `type` is a lower-case name: the field's own (see Block) or yours. `parent` is a block of the same
    history, its id, or an earlier draft of the same append: the call that a result answers, the message that a call
    belongs to.
    """

    type: str = "message"
    role: str | None = None
    author: str | None = None
    run_id: str | None = None
    parent: Block | BlockDraft | str | None = None
    text: str = ""
    data: JsonValue = None
    parts: Sequence[Part] = ()
    tags: Sequence[Tag] = ()
    internal: bool = False
    usage: Mapping[str, JsonValue] | None = None


class Block(Model):
    """One stored entry of a history.

    - `index`: 0, 1, 2 … within the history, without gaps; it never changes.
    - `type`: `message`, `status`, `function_call`, `function_result`, `reasoning`, `error`, or a name of yours.
    - `role`: `system`, `developer`, `user`, `assistant`, `tool`, or another; `author`: which agent, tool or person.
    - `state`: `open` while it is being written; a finished block is `closed`, `failed`, `cancelled` or `interrupted`.
    - `internal`: said between agents and not to the person; never in a transcript.
    - `created_at`, `updated_at`: aware, UTC, for people to read; the order of blocks is their `index` alone.
    - `cursor`: where the block was added; `subscribe(after=block.cursor)` goes on behind it.

    Subscriptions of one process share their blocks: do not change what is in `data`.
    """

    id: str
    context_id: str
    index: int
    type: str
    role: str | None
    author: str | None
    run_id: str | None
    parent_id: str | None
    text: str
    data: JsonValue
    parts: tuple[Part, ...]
    tags: tuple[Tag, ...]
    internal: bool
    state: State
    usage: JsonValue
    created_at: datetime
    updated_at: datetime
    cursor: Cursor


class RunError(Model):
    """Why a run or a block failed: the exception's type and its message."""

    type: str
    message: str


class Run(Model):
    """One request being answered, which groups the blocks it wrote.

    `state`: `running`, then `completed`, `failed` (see `error`), `cancelled`, or `interrupted` when its process died.
    `parent_run_id`: the run that this one is part of, as a sub-agent's.
    """

    id: str
    context_id: str
    parent_run_id: str | None
    state: RunState
    error: RunError | None
    usage: JsonValue
    started_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Retain:
    """What a store keeps of each history: its newest `blocks`, and those of the last `days`; None keeps all. Where both
    are given, the stricter one wins.

    Open blocks, and all that follows them, are kept in any case.
    """

    blocks: int | None = None
    days: float | None = None

    def __post_init__(self) -> None:
        if self.blocks is not None:
            checks.count(self.blocks, "Retain(blocks=…)")
        if self.days is not None:
            checks.number(self.days, "Retain(days=…)", _MAX_DAYS, "days")


class Context(Model):
    """A history as a list of contexts shows it.

    `count` is the number of blocks that are there, `head` the cursor of its last change, `keys` the context keys it was
    made with. `updated_at` is when a block or a run last began, changed or ended; text that grows meanwhile does not
    move it.
    """

    context_id: str
    keys: Mapping[str, str] | None
    tags: tuple[Tag, ...]
    count: int
    head: Cursor
    created_at: datetime
    updated_at: datetime


BlockDraft.model_rebuild()
