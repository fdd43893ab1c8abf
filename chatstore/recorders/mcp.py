"""What a server of the Model Context Protocol sends, kept so that clients resume where their connection was cut.

A stream's id is the id of a JSON-RPC request, which every client counts from the same number, and a session manager
gives one EventStore to all of its sessions. So a store of events is of one session: `SessionEvents` is the view of one,
and `ResumableSessionManager` gives each session its own.
"""

from __future__ import annotations

from typing import Any, Final
from uuid import uuid4

from pydantic import TypeAdapter

from chatstore.async_history import AsyncHistory
from chatstore.async_store import AsyncChatStore
from chatstore.errors import BlockNotFound, ContextErased, InvalidInput, MissingExtra
from chatstore.model import Block, BlockDraft
from chatstore.recorders.shared.stores import async_store

try:
    from mcp.server import streamable_http  # type: ignore[import-not-found, unused-ignore]
    from mcp.server.streamable_http_manager import (  # type: ignore[import-not-found, unused-ignore]
        StreamableHTTPSessionManager,
    )
except ImportError as _missing:
    raise MissingExtra(f"{_missing.name} is not installed: pip install 'chatstore[mcp]'") from _missing

__all__ = ["SESSION", "ResumableSessionManager", "SessionEvents"]

SESSION: Final = "mcp_session"
"""The context key of a session's history."""
MESSAGE: Final = "mcp_message"
PRIMING: Final = "mcp_priming"
_PAGE: Final = 100

_message: Final[TypeAdapter[Any]] = TypeAdapter(vars(streamable_http)["JSONRPCMessage"])


class SessionEvents(streamable_http.EventStore):  # type: ignore[misc, unused-ignore]
    """An `EventStore` of one session: its history has every message that was sent, as an internal block.

    `session`: its name, which no other session has. The same name finds the same events in another process. An id of
    another session is one that does not exist.
    """

    def __init__(self, store: AsyncChatStore, session: str) -> None:
        self.history: AsyncHistory = async_store(store, "SessionEvents").history({SESSION: session})
        self._replayed: dict[str, str] = {}

    async def store_event(self, stream_id: str, message: Any) -> str:
        """Stores a message, or the priming event of a stream where there is none; its id, which no other event has."""
        if message is None:
            # After a replay it stands where that ended: what is sent before the client is there again is not lost.
            primed = {"stream": stream_id, "after": self._replayed.pop(stream_id, "")}
            draft = BlockDraft(type=PRIMING, data=primed, internal=True)
        else:
            text = message.model_dump_json(by_alias=True, exclude_unset=True)
            draft = BlockDraft(type=MESSAGE, text=text, data={"stream": stream_id}, internal=True)
        return (await self.history.append(draft)).id

    async def replay_events_after(self, last_event_id: str, send_callback: Any) -> str | None:
        """Sends the messages of a stream behind an event, a page at a time; the stream's id, or None for an id that is
        none of this session."""
        block = await self._find(last_event_id)
        if block is None:
            return None
        stream: str = block.data["stream"]
        after: str = block.data.get("after") or block.cursor
        while page := await self.history.get_messages(types=[MESSAGE], after=after, limit=_PAGE):
            for block in page:
                if block.data["stream"] == stream:
                    message = _message.validate_json(block.text)
                    await send_callback(streamable_http.EventMessage(message, block.id))
            after = page[-1].cursor
        self._replayed[stream] = after
        return stream

    async def _find(self, id: str) -> Block | None:
        try:
            block = await self.history.get_block(id)
        except (BlockNotFound, ContextErased, InvalidInput):
            return None
        return block if block.type in (MESSAGE, PRIMING) else None


class ResumableSessionManager(StreamableHTTPSessionManager):  # type: ignore[misc, unused-ignore]
    """A `StreamableHTTPSessionManager` whose clients can resume: every session has events of its own in the store.

    `app` is a server of either kind; the other parameters are the manager's. Use it as that one: `run()` around the
    application, and `handle_request` at a path.
    """

    def __init__(self, app: Any, store: AsyncChatStore, **options: Any) -> None:
        self._events = async_store(store, "ResumableSessionManager")
        for inner in ("_lowlevel_server", "_mcp_server"):  # a decorated server is one around another
            app = getattr(app, inner, app)
        super().__init__(app, **options)

    @property
    def event_store(self) -> Any:
        """The events of a new session: the manager asks once for each that it begins."""
        return SessionEvents(self._events, uuid4().hex)

    @event_store.setter
    def event_store(self, given: Any) -> None:
        if given is not None:
            raise InvalidInput("event_store= is made of the store, for each session its own; leave it out")
