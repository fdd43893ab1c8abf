"""Block ids and times."""

from __future__ import annotations

import os
import random
import time
import uuid
from datetime import UTC, datetime, timedelta

from chatstore.errors import InvalidInput

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RANDOM_BITS = 42
_REST = (1 << 62) - 1


def new_id(now: int) -> bytes:
    """A UUIDv7 (RFC 9562, section 5.7) as its 16 bytes; `now` in microseconds gives its millisecond part."""
    return _uuid7(now, int.from_bytes(os.urandom(10)))


def block_id(now: int, index: int) -> bytes:
    """The id of the block at this place of its history: a UUIDv7 whose counter (RFC 9562, section 6.2, method 1) is the
    index, in 32 bits, before 42 random ones. So a block is found by its id without an index on ids, and the ids of
    one history are in order."""
    return _uuid7(now, index << _RANDOM_BITS | random.getrandbits(_RANDOM_BITS))


def index_of(id: bytes) -> int:
    """The place that is in a block's id; in any other UUID, some number."""
    number = int.from_bytes(id[6:])
    return ((number >> 64 & 0xFFF) << 62 | number & _REST) >> _RANDOM_BITS


def _uuid7(now: int, low: int) -> bytes:
    """Milliseconds, version 7, 12 bits of `low`, variant 10, its 62 others."""
    high = (now // 1000) << 16 | 0x7000 | low >> 62 & 0xFFF
    return (high << 64 | 1 << 63 | low & _REST).to_bytes(16)


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
