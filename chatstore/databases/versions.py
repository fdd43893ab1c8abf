"""Versions of SQLite: which of them can lose part of the log when it is checkpointed and begun anew at once."""

from __future__ import annotations

Version = tuple[int, int, int]


def has_reset_bug(version: Version) -> bool:
    """Whether a checkpoint and a commit that begins the log anew must be kept apart, in all processes together.

    The WAL-reset bug is in every version from 3.7.0 on, until 3.51.3, 3.50.7 and 3.44.6 mended it
    (https://www.sqlite.org/wal.html#walresetbug).
    """
    return not (version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51, 0) or (3, 44, 6) <= version < (3, 45, 0))
