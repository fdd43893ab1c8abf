"""What is asked for to follow a history or a store."""

from __future__ import annotations

import time
from typing import Any

from chatstore.live.store_subscription import Wanted as StoreWanted
from chatstore.live.subscription import Wanted
from chatstore.remote import requesting
from chatstore.remote.feed import Feed


def of_context(wanted: Wanted, kind: str) -> Feed:
    """The changes of one history."""
    return _feed(
        requesting.path(wanted.context_id, "events", "search"), requesting.filters(kind, wanted.selection), wanted
    )


def of_store(wanted: StoreWanted, kind: str) -> Feed:
    """The changes of all histories, or of those with context keys and tags."""
    own = {"keys": dict(wanted.contexts.keys), "tags": wanted.contexts.tags or None}
    return _feed("/events/search", requesting.filters(kind, wanted.selection) | own, wanted)


def _feed(path: str, body: dict[str, Any], wanted: Wanted | StoreWanted) -> Feed:
    return Feed(path, body, wanted.after, follow=wanted.follow, timeout=wanted.timeout, clock=time.monotonic)
