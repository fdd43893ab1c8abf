"""Reads that take several answers, step by step; and what is asked for in each. No I/O."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeVar

from chatstore import requests
from chatstore.cursor import Cursor
from chatstore.kinds import Selection
from chatstore.model import Block, Context
from chatstore.remote import requesting
from chatstore.remote.calls import Call
from chatstore.remote.core import RemoteCore
from chatstore.requests import Listing

T = TypeVar("T")
Steps = Generator[Call[Any], Any, T]
"""Gives the calls to make, is sent what they give, and returns what they come to."""


def check_window(core: RemoteCore, context_id: str, **given: Any) -> None:
    """Refuses a window that is none, as a store of this process does."""
    for cursor in (given["after"], given["before"]):
        if cursor is not None:
            core.check_cursor(cursor, context_id)
    requests.window(context_id, core.cursors, **{**given, "after": None, "before": None})


def messages(context_id: str, kind: str, chosen: Selection, window: dict[str, Any]) -> Steps[list[Block]]:
    """All blocks of a window: page by page, however long that is."""
    asked = requesting.filters(kind, chosen) | {name: value for name, value in window.items() if value is not None}
    if window["last"] is not None and kind != "prompt":
        return (yield from _last(context_id, asked, window["last"]))
    limit = window["limit"]
    found: list[Block] = []
    while True:
        page, more = yield requesting.messages(context_id, asked)
        found += page
        if not more or (limit is not None and len(found) >= limit):
            return found
        asked["after"] = page[-1].cursor
        if limit is not None:
            asked["limit"] = limit - len(found)


def _last(context_id: str, asked: dict[str, Any], last: int) -> Steps[list[Block]]:
    found: list[Block] = []
    while True:
        asked["last"] = last - len(found)
        page, more = yield requesting.messages(context_id, asked)
        found = page + found
        if not more or not page:
            return found
        asked["before"] = page[0].cursor


def since_last_user_message(context_id: str, kind: str, chosen: Selection) -> Steps[list[Block]]:
    """The blocks behind the last user message."""
    asked = requesting.filters(kind, chosen) | {"since_last_user_message": True}
    blocks, _ = yield requesting.messages(context_id, asked)
    return list(blocks)


def contexts(listing: Listing) -> Steps[list[Context]]:
    """All contexts of a listing, page by page."""
    found: list[Context] = []
    after, limit = listing["after"], listing["limit"]
    while True:
        wanted = min(requesting.PAGE, limit - len(found))
        page, after = yield requesting.contexts(listing, after, wanted)
        found += page[:wanted]
        if after is None or len(found) >= limit:
            return found


def header(core: RemoteCore, block: Block) -> tuple[Block, Cursor]:
    """A block without its text, and the cursor before it was added."""
    cursors = core.cursors(block.context_id)
    before = cursors.at(cursors.sequence(block.cursor) - 1)
    return block.model_copy(update={"text": "", "state": "open"}), before
