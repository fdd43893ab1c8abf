"""The call of each operation of a store."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final
from uuid import uuid4

from pydantic import TypeAdapter

from chatstore.cursor import Cursor
from chatstore.errors import BlockEnded, InvalidInput, RunCancelled, RunInterrupted, RunNotFound, RunOver
from chatstore.ids import id_bytes, id_text
from chatstore.kinds import Selection
from chatstore.model import Block, Context, JsonValue, Run
from chatstore.operations.appending import Append, NewBlock
from chatstore.operations.growing import Ending
from chatstore.operations.integrity.checking import CheckReport
from chatstore.operations.running import RunEnding
from chatstore.operations.transaction import ContextRef
from chatstore.remote.calls import Call, json_body, member, model, nothing
from chatstore.remote.drafting import draft
from chatstore.requests import Listing
from chatstore.wire.names import keys_header, segment

PAGE: Final = 1_000
"""Contexts or blocks in one answer; no server gives more."""
KEY: Final = "Idempotency-Key"
_RUN: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@:-]*", re.ASCII)
_LISTS: Final = TypeAdapter(list[Block])
_CONTEXTS: Final = TypeAdapter(list[Context])


def path(context_id: str, *parts: str) -> str:
    """The path of a context, or of something in it."""
    return "/".join(("/contexts", segment(context_id), *parts))


def _keys(context: ContextRef) -> dict[str, str]:
    return {} if context.keys is None else {"Context-Keys": keys_header(context.keys)}


def _post(path: str, read: Any, body: object, headers: Mapping[str, str] | None = None, **more: Any) -> Call[Any]:
    return Call("POST", path, read, json_body(body), headers or {}, **more)


def _block(block_id: str) -> str:
    return id_text(id_bytes(block_id))


def _run(run_id: str) -> str:
    """The id of a run in a path. No store makes others than those that stand there as they are."""
    if not isinstance(run_id, str) or not _RUN.fullmatch(run_id):
        raise RunNotFound(f"no run {ascii(run_id)[:100]} in this history")
    return run_id


def filters(kind: str, chosen: Selection) -> dict[str, Any]:
    """Which blocks are meant."""
    lists = {name: getattr(chosen, name) for name in ("types", "roles", "authors", "states")}
    own: dict[str, Any] = {name: sorted(values) for name, values in lists.items() if values is not None}
    if chosen.tags:
        own["tags"] = chosen.tags
    if chosen.run is not None:
        own["run"] = chosen.run
    return {"kind": kind, **own}


def append(wanted: Append, run_id: str | None) -> Call[list[Block]]:
    """An append. Without a key it is given one, under which it is stored once however often it is sent. Which run it is
    made in is told beside the drafts: a key names those alone."""
    # Made where the call is made, and not where it is sent: all of its attempts have the same.
    body: dict[str, Any] = {"drafts": [*map(draft, wanted.blocks)], "key": wanted.key or uuid4().hex}
    if run_id is not None:
        body["run_id"] = run_id
    if wanted.expect is not None:
        body["expect"] = wanted.expect
    context = wanted.context
    return _post(path(context.context_id, "messages"), member("blocks", list[Block]), body, _keys(context))


def open_block(context: ContextRef, new: NewBlock) -> Call[Block]:
    """Opens a block."""
    headers = {**_keys(context), KEY: uuid4().hex}
    # With its role even where it is none: a message without that field becomes the assistant's.
    return _post(path(context.context_id, "blocks"), model(Block), draft(new) | {"role": new.role}, headers)


def end_block(block: Block, ending: Ending, read: Any, first: tuple[Call[Any], ...]) -> Call[Block]:
    """Ends a block."""
    body: dict[str, Any] = {"state": ending.state}
    given = {"data": ending.data, "usage": ending.usage, "error": ending.error}
    body |= {name: json.loads(text) for name, text in given.items() if text is not None}
    return _post(path(block.context_id, "blocks", block.id, "close"), read, body, first=first)


def end_again(block: Block) -> Call[Any]:
    """What is refused for a block that has ended: of its run, if that is over. Its context may be erased by now."""
    over = BlockEnded("the block has ended, and it ends once")

    def ended(_: bytes) -> None:
        raise over

    def run_over(body: bytes) -> None:
        run = Run.model_validate_json(body)
        told = f"run {run.id} is over: it is {run.state}; start a new run"
        errors = {"running": over, "cancelled": RunCancelled(told), "interrupted": RunInterrupted(told)}
        raise errors.get(run.state, RunOver(told))

    place = path(block.context_id, "blocks", block.id)
    if block.run_id is None:
        return Call("GET", place, ended)
    return Call(
        "GET", path(block.context_id, "runs", _run(block.run_id)), run_over, first=(Call("GET", place, nothing),)
    )


def messages(context_id: str, wanted: Mapping[str, Any]) -> Call[tuple[list[Block], bool]]:
    """A page of blocks, and whether more follow it."""

    def read(body: bytes) -> tuple[list[Block], bool]:
        found = json.loads(body)
        return _LISTS.validate_python(found["messages"]), bool(found["more"])

    return _post(path(context_id, "messages", "search"), read, wanted)


def count(context_id: str, wanted: Mapping[str, Any]) -> Call[int]:
    """How many blocks are selected."""
    return _post(path(context_id, "count"), member("count", int), wanted)


def head(context_id: str) -> Call[Cursor]:
    """The cursor of the last change."""
    return Call("GET", path(context_id, "head"), member("head", str))


def info(context_id: str) -> Call[Context | None]:
    """A context; None where there is none."""
    return Call("GET", path(context_id), model(Context), missing=lambda: None)


def get_block(context_id: str, block_id: str) -> Call[Block]:
    """One block."""
    return Call("GET", path(context_id, "blocks", _block(block_id)), model(Block))


def runs(context_id: str) -> Call[list[Run]]:
    """All runs of a context."""
    return Call("GET", path(context_id, "runs"), member("runs", list[Run]))


def get_run(context_id: str, run_id: str) -> Call[Run]:
    """One run."""
    return Call("GET", path(context_id, "runs", _run(run_id)), model(Run))


def cancel_run(context_id: str, run_id: str) -> Call[Run]:
    """Stops a run."""
    return _post(path(context_id, "runs", _run(run_id), "cancel"), model(Run), {})


def start_run(context: ContextRef, run_id: str, parent_run_id: str | None) -> Call[Run]:
    """Starts a run."""
    body = {"id": run_id, "parent_run_id": parent_run_id}
    return _post(path(context.context_id, "runs"), model(Run), body, _keys(context))


def end_run(context: ContextRef, run_id: str, ending: RunEnding, first: tuple[Call[Any], ...] = ()) -> Call[Run]:
    """Ends a run."""
    body: dict[str, Any] = {"state": ending.state}
    body |= {
        name: json.loads(text) for name, text in (("usage", ending.usage), ("error", ending.error)) if text is not None
    }
    return _post(path(context.context_id, "runs", _run(run_id), "end"), model(Run), body, first=first)


def submit(asked: Append, parent_run_id: str | None) -> Call[tuple[Run, Cursor]]:
    """Starts a run and stores the message that it answers."""

    def read(body: bytes) -> tuple[Run, Cursor]:
        found = json.loads(body)
        return Run.model_validate(found["run"]), Cursor(found["cursor"])

    own = {"parent_run_id": parent_run_id, "key": asked.key, "expect": asked.expect}
    body = draft(asked.blocks[0]) | {name: value for name, value in own.items() if value is not None}
    if "run_id" in body:
        raise InvalidInput("run_id= of what is submitted is that of its own run; leave it out")
    del body["type"], body["role"]
    headers = {**_keys(asked.context), KEY: uuid4().hex}
    return _post(path(asked.context.context_id, "submissions"), read, body, headers)


def erase(context_id: str) -> Call[None]:
    """Erases a context."""
    return Call("DELETE", path(context_id), nothing, takes_long=True)


def tag_block(context_id: str, block_id: str, tags: str) -> Call[Block]:
    """Puts tags (as JSON) on a block."""
    where = path(context_id, "blocks", _block(block_id), "tags")
    return _post(where, model(Block), {"tags": json.loads(tags)}, {KEY: uuid4().hex})


def tag_context(context: ContextRef, tags: str) -> Call[None]:
    """Puts tags (as JSON) on a context."""
    return _post(path(context.context_id, "tags"), nothing, {"tags": json.loads(tags)}, _keys(context))


def set_usage(context_id: str, block_id: str, usage: str) -> Call[Block]:
    """Sets the usage (as JSON) of a block."""
    where = path(context_id, "blocks", _block(block_id), "usage")
    return Call("PUT", where, model(Block), usage.encode(), {KEY: uuid4().hex})


def contexts(listing: Listing, after: str | None, limit: int) -> Call[tuple[list[Context], str | None]]:
    """A page of contexts, and what the next one follows; None at the end."""

    def read(body: bytes) -> tuple[list[Context], str | None]:
        found = json.loads(body)
        return _CONTEXTS.validate_python(found["contexts"]), found["next"]

    body: dict[str, JsonValue] = {"keys": dict(listing["keys"]), "tags": listing["tags"]}
    body |= {"after": after, "limit": max(1, limit), "newest": listing["newest_first"]}
    return _post("/contexts/search", read, body)


def read_bytes(digest: bytes) -> Call[bytes]:
    """The bytes of a part."""
    return Call("GET", f"/parts/{digest.hex()}", bytes)


def renew(blocks: Iterable[str], runs: Iterable[str]) -> Call[list[str]]:
    """Says what is still worked on; the ids of what has ended."""
    return _post("/leases", member("lost", list[str]), {"blocks": [*blocks], "runs": [*runs]})


def check() -> Call[CheckReport]:
    """Checks the store."""
    return _post("/check", model(CheckReport), {}, takes_long=True)


def prune() -> Call[int]:
    """Removes what is not to be retained."""
    return _post("/prune", member("removed", int), {}, takes_long=True)


def compact(older_than: float) -> Call[int]:
    """Removes the pieces of finished blocks."""
    return _post("/compact", member("removed", int), {"older_than": older_than}, takes_long=True)
