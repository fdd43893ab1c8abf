"""Texts of requests, as OpenAPI describes them.

They are only described here: the store refuses what is none of them itself, with errors that say what is wrong.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeAlias

from pydantic import Strict, WithJsonSchema

_CURSOR: Final = r"[0-9a-f]{12}-[0-9a-f]{12}-[0-9]{12}(\.[0-9]{5}\.[0-9]{12})?"
_STORE_CURSOR: Final = r"[0-9a-f]{12}-[0-9]{16}"
_STATES: Final = ["open", "closed", "failed", "cancelled", "interrupted"]


def _text(**schema: Any) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", **schema})


Name: TypeAlias = Annotated[str, _text(minLength=1, maxLength=1_000, pattern=r"^[^\u0000]+$")]
"""What names something: a role, a tag, a key."""
Kind: TypeAlias = Annotated[str, _text(enum=["transcript", "prompt", "trace"])]
"""A kind of read."""
State: TypeAlias = Annotated[str, _text(enum=_STATES)]
"""What a block may be."""
Pair: TypeAlias = Annotated[str, _text(minLength=3, maxLength=2_001, pattern=r"^[^\u0000:]+:[^\u0000]+$")]
"""Two names with a colon between them."""
Tagged: TypeAlias = Annotated[tuple[Name, Name], Strict(False)]
"""A tag's kind and name. JSON has no tuples: a list of two is one."""
Segment: TypeAlias = Annotated[str, _text(pattern=r"^([^~/\u0000][^/\u0000]*|~[A-Za-z0-9_-]{2,})$")]
"""A context in a path: its id, or `~` and the base64url of its id."""
BlockId: TypeAlias = Annotated[str, _text(format="uuid")]
"""The id of a block."""
Digest: TypeAlias = Annotated[str, _text(pattern="^[0-9a-f]{64}$")]
"""The SHA-256 of a part's bytes."""
After: TypeAlias = Annotated[str, _text(pattern=f"^({_CURSOR}|{_STORE_CURSOR}|now)$")]
"""From where to go on: a cursor, or `now`."""
Seen: TypeAlias = Annotated[str, _text(pattern=f"^({_CURSOR}|{_STORE_CURSOR}|now)?$")]
"""The same, as the id of the event that was read last; empty where none was."""
Place: TypeAlias = Annotated[str, _text(pattern=f"^{_CURSOR}$")]
"""A cursor of a context."""
Expected: TypeAlias = Annotated[str, _text(pattern=f'^("{_CURSOR}"|{_CURSOR})$')]
"""A cursor as an entity tag."""
Offset: TypeAlias = Annotated[str, _text(pattern=f"^(-1|now|{_CURSOR})?$")]
"""An offset of a Durable Stream."""
Live: TypeAlias = Annotated[str, _text(enum=["long-poll", "sse"])]
"""How a Durable Stream is followed."""
