"""How many subscriptions a store has open at a time."""

from __future__ import annotations

from typing import Any, TypeVar
from weakref import WeakSet

from chatstore.limits import exceeded
from chatstore.live.following import Following

F = TypeVar("F", bound=Following[Any, Any, Any])


def check_room(known: WeakSet[F], most: int) -> None:
    """Refuses one more subscription where a store has as many open as it may; those that ended do not count."""
    if len(known) < most:
        return
    for subscription in [*known]:
        if subscription._ended:
            known.discard(subscription)
    if len(known) >= most:
        raise exceeded(f"{len(known) + 1:,} subscriptions open on one store", "subscribers", most)
