"""The JSON that requests and answers have, beside the models of the store itself."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, Strict

from chatstore import Block, Context, Cursor, Run
from chatstore.model import JsonValue
from chatstore.wire.described import Name, Tagged
from chatstore.wire.drafts import BlockGiven, ManyDrafts, TagGiven, at_most

Seconds = Annotated[float, Field(gt=0, le=366 * 86_400)]
_Id = Annotated[str, Field(max_length=1_000)]


class Form(BaseModel):
    """What only takes what it describes."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", hide_input_in_errors=True, strict=True)


class ProblemForm(BaseModel):
    """Why a request was refused (RFC 9457), with the `code` of the store's own errors."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    retryable: bool


class Status(Form):
    """How the server is."""

    status: Literal["ok", "ready"]


class ContextsPage(Form):
    """Contexts, and what to give as `after` for the next page; null at the end."""

    contexts: list[Context]
    next: str | None


class Search(Form):
    """Which contexts are looked for: those with all these context keys and tags."""

    keys: Annotated[dict[Name, Name], at_most("tags")] = Field(default_factory=dict)
    tags: Annotated[list[Tagged], at_most("tags")] = Field(default_factory=list)
    after: Name | None = None
    limit: int | None = Field(default=None, ge=1)
    newest: bool = False


class Head(Form):
    """The cursor of a history's last change."""

    head: Cursor


class Count(Form):
    """How many blocks are selected."""

    count: int


class Messages(Form):
    """Blocks, in order; `more`: there are more of them behind the last."""

    messages: list[Block]
    more: bool


class Drafts(Form):
    """Drafts that are appended together, or not at all. `key` and `expect` come before the headers for them. `run_id`
    is the run in which this is done: of those drafts that name none. Under a key it makes no difference."""

    drafts: ManyDrafts
    key: str | None = None
    expect: str | None = None
    run_id: Name | None = None


class Stored(Form):
    """What an append has stored."""

    blocks: list[Block]


class Tags(Form):
    """Tags to put on something."""

    tags: Annotated[list[TagGiven], at_most("tags")]


class Piece(Form):
    """Text of an open block, and at which of its characters it stands."""

    offset: int = Field(ge=0, le=2**53)
    text: str


class Length(Form):
    """How many characters of an open block are stored."""

    length: int


class ErrorGiven(Form):
    """What went wrong: the type's name, and the message."""

    type: str = "Error"
    message: str = ""


class BlockEnding(Form):
    """How an open block ends."""

    state: Literal["closed", "failed", "cancelled", "interrupted"] = "closed"
    data: JsonValue = None
    usage: dict[str, JsonValue] | None = None
    error: ErrorGiven | None = None


class RunBeginning(Form):
    """A run to be started, with an id that its caller made up, or one of the store's."""

    id: Annotated[UUID, Strict(False)] | None = None
    parent_run_id: Name | None = None


class RunEnding(Form):
    """How a run ends."""

    state: Literal["completed", "failed", "cancelled", "interrupted"] = "completed"
    usage: dict[str, JsonValue] | None = None
    error: ErrorGiven | None = None


class Submission(BlockGiven):
    """A user's message that a run is to answer: so its type, role and run are known."""

    parent: Name | None = None
    parent_run_id: Name | None = None
    key: Name | None = None
    expect: Name | None = None


class Submitted(Form):
    """The run, and the cursor behind which its user message is the first change."""

    run: Run
    cursor: Cursor


class Runs(Form):
    """The runs of a history, in the order they started."""

    runs: list[Run]


class Lease(Form):
    """What a caller still works on."""

    blocks: list[_Id] = Field(default_factory=list, max_length=10_000)
    runs: list[_Id] = Field(default_factory=list, max_length=10_000)


class Lost(Form):
    """What of it has ended, or is not open through this server."""

    lost: list[str]


class ChangesPage(Form):
    """Changes behind a cursor, and where to go on; `more`: at once."""

    changes: list[dict[str, Any]]
    cursor: Cursor | None
    more: bool


class TokenWanted(Form):
    """A token for somebody else: never for more than the caller's own."""

    context_id: Name | None = None
    read: bool = True
    write: bool = False
    ttl: Seconds = 3_600.0


class TokenMade(Form):
    """The token, and until when it holds, in seconds since 1970."""

    token: str
    expires_at: float
