"""Contexts in the path of a URL.

Any text may name a context, and not every text stands in a path: servers and browsers resolve `.` and `..`, and
decode `%2F` at different moments. So an id that is more than plain letters is written as `~` and the base64url of its
UTF-8 (RFC 4648, section 5, without padding).
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from typing import Final

from chatstore.errors import InvalidInput

_PLAIN: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@:-]*", re.ASCII)


def segment(context_id: str) -> str:
    """A context's id as one segment of a path, which needs no more escaping."""
    if _PLAIN.fullmatch(context_id):
        return context_id
    return "~" + urlsafe_b64encode(context_id.encode()).decode().rstrip("=")


def context_of(segment: str) -> str:
    """The id of a segment. Raises InvalidInput."""
    if not segment.startswith("~"):
        return segment
    found = _decoded(segment[1:])
    if not found:
        raise InvalidInput("the path names no context: behind ~ comes the base64url of its id's UTF-8")
    return found


def keys_header(keys: Mapping[str, str]) -> str:
    """Context keys as the value of a header."""
    return urlsafe_b64encode(json.dumps(dict(keys), ensure_ascii=False).encode()).decode().rstrip("=")


def keys_of(header: str) -> dict[str, str]:
    """The context keys of a header. Raises InvalidInput."""
    try:
        found = json.loads(_decoded(header) or "")
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise InvalidInput("Context-Keys holds the base64url of a JSON object")
    return found


def _decoded(text: str) -> str | None:
    try:
        return urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode() if text.isascii() else None
    except ValueError:  # of base64, or of UTF-8
        return None
