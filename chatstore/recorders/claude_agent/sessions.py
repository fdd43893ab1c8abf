"""The sessions of the Claude Agent SDK, kept in a store: what `ClaudeAgentOptions(session_store=…)` takes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from datetime import datetime
from hashlib import blake2b
from importlib import import_module
from typing import Any, Final

from chatstore.async_history import AsyncHistory
from chatstore.async_store import AsyncChatStore
from chatstore.cursor import Cursor
from chatstore.errors import (
    BlocksRemoved,
    ContextErased,
    CursorExpired,
    InvalidCursor,
    InvalidInput,
    KeyConflict,
    MissingExtra,
)
from chatstore.model import Block, Context, Tag
from chatstore.recorders.claude_agent.entries import (
    CALL,
    MESSAGE,
    Call,
    answered,
    as_text,
    drafts,
    entry_of,
    message_id,
)
from chatstore.recorders.shared.stores import async_store

PROJECT: Final = "claude_project"
"""The context key of a session's project. A subagent's has another name, so that no list of sessions has to pass it."""
SUBAGENTS_OF: Final = "claude_subagents_of"
SESSION: Final = "claude_session"
SUBPATH: Final = "claude_subpath"

_SUMMARY: Final = ("claude_agent", "summary")
_PAGE: Final = 500
_LISTED: Final = 1_000

Entry = dict[str, Any]


class ClaudeSessionStore:
    """A `SessionStore` of the Claude Agent SDK: every session is a history, and so is the work of each subagent.

    Entries come out as they went in. Each is also a block, or several: messages, thoughts, calls with their results;
    those of subagents are internal. `history(key)` is where they are.
    """

    def __init__(self, store: AsyncChatStore) -> None:
        self._store = async_store(store, "ClaudeSessionStore")

    def history(self, key: Mapping[str, str]) -> AsyncHistory:
        """The history of a session, or of a subagent in one, by the key that the SDK has for it."""
        if subpath := key.get("subpath"):
            return self._store.history({SUBAGENTS_OF: key["project_key"], SESSION: key["session_id"], SUBPATH: subpath})
        return self._store.history({PROJECT: key["project_key"], SESSION: key["session_id"]})

    async def append(self, key: Mapping[str, str], entries: list[Any]) -> None:
        """Stores entries in their order; one whose uuid is there already is passed by.

        Raises ContextErased for a session that was deleted.
        """
        if not entries:
            return
        history = self.history(key)
        appending = _Appending(history, internal=bool(key.get("subpath")))
        for entry in entries:
            await appending.append(entry)
        if not key.get("subpath"):
            await self._summarize(history, key["session_id"])
            return
        try:
            await self.history({**key, "subpath": ""}).head()
        except ContextErased:  # while this was written: deleting may have looked for subagents before it was there
            await history.erase()
            raise

    async def load(self, key: Mapping[str, str]) -> list[Any] | None:
        """All entries in their order; None for a key that was never written, or was deleted."""
        try:
            return [entry async for entry, _ in _entries(self.history(key))] or None
        except ContextErased:
            return None

    async def list_sessions(self, project_key: str) -> list[Any]:
        """The sessions of a project, with the time of their last change in milliseconds."""
        found = await self._contexts({PROJECT: project_key})
        return [{"session_id": _keys(one)[SESSION], "mtime": _milliseconds(one.updated_at)} for one in found]

    async def list_session_summaries(self, project_key: str) -> list[Any]:
        """What the SDK makes of each session for its lists. What was folded before is not read again."""
        return [await self._summary(one) for one in await self._contexts({PROJECT: project_key})]

    async def delete(self, key: Mapping[str, str]) -> None:
        """Erases a session with the work of its subagents, or with a subpath that of one; for good."""
        if await _exists(self.history(key)):
            await self.history(key).erase()
        if not key.get("subpath"):
            for context in await self._subagents(key):
                await self._store.history(_keys(context)).erase()

    async def list_subkeys(self, key: Mapping[str, str]) -> list[str]:
        """The subpaths of a session's subagents."""
        return [_keys(context)[SUBPATH] for context in await self._subagents(key)]

    async def _subagents(self, key: Mapping[str, str]) -> list[Context]:
        return await self._contexts({SUBAGENTS_OF: key["project_key"], SESSION: key["session_id"]})

    async def _contexts(self, keys: Mapping[str, str]) -> list[Context]:
        found = page = await self._store.contexts(keys=keys, limit=_LISTED)
        while len(page) == _LISTED:
            page = await self._store.contexts(keys=keys, limit=_LISTED, after=page[-1].context_id)
            found = found + page
        return found

    async def _summary(self, context: Context) -> Entry:
        """A session's summary: what its tag says, and what was written since."""
        kept = _kept(context)
        if kept.get("head") != context.head:
            kept = await _fold(self._store.history(_keys(context)), _keys(context)[SESSION], kept)
        mtime = _milliseconds(context.updated_at)
        return {"session_id": _keys(context)[SESSION], "mtime": mtime, "data": kept.get("data") or {}}

    async def _summarize(self, history: AsyncHistory, session_id: str) -> None:
        """Keeps the summary up to here as a tag of the history.

        It says up to where it goes, and is a function of the entries up to there: whichever of two processes comes last
        with its own, the next one goes on from that.
        """
        context = await history.info()
        assert context is not None  # entries were written
        kept = await _fold(history, session_id, _kept(context))
        kind, name = _SUMMARY
        with suppress(InvalidInput):  # half a character in a prompt: then it is folded when it is asked for
            await history.tag_context(Tag(kind=kind, name=name, value={**kept, "head": context.head}))


class _Appending:
    """The entries of one call, one after the other: each is stored once, whoever else stores it now."""

    def __init__(self, history: AsyncHistory, *, internal: bool) -> None:
        self._history = history
        self._internal = internal
        self._calls: dict[str, Call] = {}
        self._counted: dict[str, str] = {}

    async def append(self, entry: Entry) -> None:
        for id in answered(entry):
            if id not in self._calls and (found := await self._tagged(CALL, id)):
                self._remember(found)
        first = await self._first(entry)
        made = drafts(entry, self._calls, internal=self._internal, counted=first is not None)
        key = _key(entry)
        try:
            try:
                stored = await self._history.append(made, key=key)
            except InvalidInput:
                stored = await self._history.append([as_text(one, entry) for one in made], key=key)
        except (KeyConflict, BlocksRemoved):
            return  # it was stored before
        for block in stored:
            self._remember(block)
        if first is not None:
            await self._history.set_usage(first, entry["message"]["usage"])

    async def _first(self, entry: Entry) -> str | None:
        """The block that has what the entry's message cost.

        Claude Code writes an entry for each content block of a message, and what the message cost so far on every one.
        """
        id = message_id(entry)
        if id is not None and id not in self._counted and (found := await self._tagged(MESSAGE, id)):
            self._remember(found)
        return None if id is None else self._counted.get(id)

    async def _tagged(self, kind: str, name: str) -> Block | None:
        found = await self._history.get_messages(tags=[(kind, name)], last=1)
        return found[0] if found else None

    def _remember(self, block: Block) -> None:
        for tag in block.tags:
            if tag.kind == CALL:
                self._calls[tag.name] = Call(block.id, block.data.get("name"))
            elif tag.kind == MESSAGE:
                self._counted[tag.name] = block.id


async def _entries(history: AsyncHistory, after: str | None = None) -> AsyncIterator[tuple[Entry, Cursor]]:
    """The entries behind a cursor, each with its own."""
    while blocks := await history.get_messages(after=after, limit=_PAGE):
        for block in blocks:
            if (entry := entry_of(block)) is not None:
                yield entry, block.cursor
        after = blocks[-1].cursor


async def _fold(history: AsyncHistory, session_id: str, kept: Entry) -> Entry:
    """A summary, and what the SDK makes of it with the entries behind it."""
    summary, after = kept.get("data"), kept.get("cursor")
    try:
        found = [pair async for pair in _entries(history, after)]
    except CursorExpired as error:  # what lay behind it was not retained, or this is a copy: the rest is there
        found = [pair async for pair in _entries(history, error.start)]
    except InvalidCursor:
        summary, found = None, [pair async for pair in _entries(history)]
    if not found:
        return kept
    before = None if summary is None else {"session_id": session_id, "mtime": 0, "data": summary}
    folded = _folding()(before, {"session_id": session_id}, [entry for entry, _ in found])
    return {"data": folded["data"], "cursor": found[-1][1]}


def _folding() -> Any:
    try:
        return import_module("claude_agent_sdk").fold_session_summary
    except ImportError as error:
        raise MissingExtra(f"{error.name} is not installed: pip install 'chatstore[claude-agent]'") from error


async def _exists(history: AsyncHistory) -> bool:
    try:
        return await history.info() is not None
    except ContextErased:
        return False


def _key(entry: Entry) -> str | None:
    """What names the append of an entry: a digest of its uuid, whatever that is like."""
    uuid = entry.get("uuid")
    if not isinstance(uuid, str):
        return None
    return f"claude-{blake2b(uuid.encode(errors='surrogatepass'), digest_size=16).hexdigest()}"


def _kept(context: Context) -> Entry:
    found = (tag.value for tag in context.tags if (tag.kind, tag.name) == _SUMMARY)
    return next(found, None) or {}


def _keys(context: Context) -> Mapping[str, str]:
    assert context.keys is not None  # they were looked for by them
    return context.keys


def _milliseconds(time: datetime) -> int:
    return round(time.timestamp() * 1_000)
