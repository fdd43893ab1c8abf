"""Files and pictures of frameworks as parts of blocks."""

from __future__ import annotations

import logging
from io import BytesIO
from typing import Any, Final

from chatstore.model import Part, PartType

_log: Final = logging.getLogger("chatstore.recorders")


def picture(value: Any) -> Part | None:
    """A part with the bytes of a picture of Pillow, as PNG; None for what is none, or cannot be written as one."""
    if not (callable(getattr(value, "save", None)) and hasattr(value, "getbands")):
        return None
    content = BytesIO()
    try:
        value.save(content, format="PNG")
    except Exception as error:  # whatever a picture of somebody's own raises
        _log.warning("a picture was left out: %s", type(error).__name__)
        return None
    return Part(type="image", mime_type="image/png", content=content.getvalue())


def part_type(mime_type: Any) -> PartType:
    """What kind of a part a file is."""
    kind = str(mime_type or "").partition("/")[0]
    return "image" if kind == "image" else "audio" if kind == "audio" else "file"
