"""Block ids and times."""

from __future__ import annotations

import os
import time
import uuid
from datetime import UTC, datetime, timedelta

from chatstore.errors import InvalidInput

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def new_id(now: int) -> bytes:
    """A UUIDv7 (RFC 9562, section 5.7) as its 16 bytes; `now` in microseconds gives its millisecond part."""
    random = bytearray(os.urandom(10))
    random[0] = 0x70 | random[0] & 0x0F
    random[2] = 0x80 | random[2] & 0x3F
    return (now // 1000).to_bytes(6) + random


def id_text(raw: bytes) -> str:
    """The usual spelling of an id's 16 bytes."""
    digits = raw.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def id_bytes(text: str) -> bytes:
    """The 16 bytes of an id in its usual spelling."""
    try:
        return uuid.UUID(text).bytes
    except (ValueError, AttributeError, TypeError):
        raise InvalidInput(f"{text!r} is not a block id") from None


def now() -> int:
    """Microseconds since 1970, UTC."""
    return time.time_ns() // 1000


def to_datetime(microseconds: int) -> datetime:
    """The aware UTC time of a stored one."""
    return _EPOCH + timedelta(microseconds=microseconds)
