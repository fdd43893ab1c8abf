"""Checked drafts as the JSON of a request."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

from chatstore.ids import id_text
from chatstore.operations.appending import NewBlock

_PLAIN = ("type", "role", "author", "run_id", "text", "internal")


def draft(new: NewBlock) -> dict[str, Any]:
    """One draft; what stands for itself by its absence is left out."""
    own: dict[str, Any] = {name: value for name in _PLAIN if (value := getattr(new, name))}
    own |= {name: json.loads(text) for name in ("data", "tags", "usage") if (text := getattr(new, name)) is not None}
    if new.parent is not None:
        own["parent"] = id_text(new.parent) if isinstance(new.parent, bytes) else new.parent
    if new.parts is not None:
        contents = iter(new.blobs)
        own["parts"] = [_part(row, contents) for row in json.loads(new.parts)]
    return own


def _part(row: dict[str, Any], contents: Any) -> dict[str, Any]:
    if row.pop("digest", None) is None:
        return row
    del row["size"]
    return {**row, "content": b64encode(next(contents)[1]).decode()}
