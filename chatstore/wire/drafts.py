"""Drafts as JSON: what a caller sends to have blocks appended or opened."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Final

from pydantic import Base64Bytes, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from chatstore.errors import InvalidInput
from chatstore.limits import DEFAULT
from chatstore.model import BlockDraft, JsonValue, Part, PartType, Tag
from chatstore.wire.described import BlockId, Name

TOO_MANY: Final = "limit_exceeded"
"""The type of the error for a list that is longer than any store takes."""


def at_most(limit: str) -> BeforeValidator:
    """Refuses a list that is too long before its items are looked at: each becomes an object many times its size."""
    most = getattr(DEFAULT, limit)

    def check(given: Any) -> Any:
        if isinstance(given, list | dict) and len(given) > most:
            told = {"limit": limit, "value": most}
            raise PydanticCustomError(TOO_MANY, "at most {value} of these are taken at once", told)
        return given

    return BeforeValidator(check)


class _Given(BaseModel):
    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", hide_input_in_errors=True, strict=True)


class PartGiven(_Given):
    """A part: text, a `url`, or bytes as base64 in `content`."""

    type: PartType
    mime_type: Name | None = None
    text: str | None = None
    url: str | None = None
    name: Name | None = None
    content: Base64Bytes | None = Field(default=None, strict=False)

    def part(self) -> Part:
        """As the store takes it: `model_dump` would write the bytes as base64 again."""
        return Part(**{name: getattr(self, name) for name in type(self).model_fields})


class TagGiven(_Given):
    """A tag."""

    kind: Name
    name: Name
    value: JsonValue = None

    def tag(self) -> Tag:
        """As the store takes it."""
        return Tag(kind=self.kind, name=self.name, value=self.value)


class BlockGiven(_Given):
    """What every block may have."""

    author: Name | None = None
    text: str = ""
    data: JsonValue = None
    parts: Annotated[list[PartGiven], at_most("parts")] = Field(default_factory=list)
    tags: Annotated[list[TagGiven], at_most("tags")] = Field(default_factory=list)
    internal: bool = False
    usage: dict[str, JsonValue] | None = None

    def options(self) -> dict[str, Any]:
        """The fields beside type, role, text and parent, as the store's methods take them."""
        given = {name: getattr(self, name) for name in ("author", "data", "internal", "usage")}
        parts = [part.part() for part in self.parts]
        return {**given, "parts": parts, "tags": [tag.tag() for tag in self.tags]}


class DraftGiven(BlockGiven):
    """A block to be appended. `parent` is the id of a block, or the place of an earlier draft of the same append."""

    type: Name = "message"
    role: Name | None = None
    run_id: Name | None = None
    parent: BlockId | int | None = None

    def options(self) -> dict[str, Any]:
        """The same, and the run."""
        return {**super().options(), "run_id": self.run_id}

    def opened_role(self) -> str | None:
        """The role of a block that is opened by it: of a message the assistant's, as in `open_message`, unless said."""
        return "assistant" if self.type == "message" and "role" not in self.model_fields_set else self.role


def _one_by_one(given: Any) -> Any:
    """Drafts are looked at one by one: as a whole list they would hold up every other thread. Where one is wrong, the
    list is left as it is, to be told of."""
    if not isinstance(given, list):
        return given
    try:
        return [DraftGiven.model_validate(one) for one in given]
    except ValidationError:
        return given


ManyDrafts = Annotated[list[DraftGiven], BeforeValidator(_one_by_one), at_most("batch")]
"""The drafts of one request. What is named last is looked at first."""


def drafts_of(given: Sequence[DraftGiven]) -> list[BlockDraft]:
    """The drafts of one append. Raises InvalidInput for a parent that stands nowhere before."""
    drafts: list[BlockDraft] = []
    for place, one in enumerate(given):
        parent: BlockDraft | str | None
        if isinstance(one.parent, int):
            if not 0 <= one.parent < place:
                raise InvalidInput(f"drafts.{place}.parent: {one.parent} is not the place of an earlier draft")
            parent = drafts[one.parent]
        else:
            parent = one.parent
        drafts.append(BlockDraft(type=one.type, role=one.role, text=one.text, parent=parent, **one.options()))
    return drafts
