"""The plugin that records every invocation of a runner, and `record` for one stream."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterable, Callable, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, TypeAlias, Unpack, cast
from weakref import WeakValueDictionary

from chatstore.async_history import AsyncHistory
from chatstore.async_store import AsyncChatStore
from chatstore.errors import InvalidInput, MissingExtra, UsageError
from chatstore.recorders.google_adk.invocation import Invocation
from chatstore.recorders.google_adk.script import AdkScript, Ended, UserSaid
from chatstore.recorders.machine.async_recording import AsyncRecording
from chatstore.recorders.machine.course import not_begun
from chatstore.recorders.machine.options import RecordOptions, check_options
from chatstore.recorders.machine.pulling import pulled_by
from chatstore.recorders.machine.start import start

if TYPE_CHECKING:  # the package is an extra, and not there where types are checked

    class BasePlugin:
        """What is made use of here."""

        def __init__(self, name: str) -> None: ...
else:
    try:
        from google.adk.plugins import BasePlugin
    except ImportError as error:
        raise MissingExtra(f"{error.name} is not installed: pip install 'chatstore[google-adk]'") from error

__all__ = ["AdkScript", "Recorder", "by_session", "record"]

Place: TypeAlias = str | Mapping[str, str]
_within: Final[ContextVar[Invocation | None]] = ContextVar("chatstore_google_adk", default=None)


def record(source: AsyncIterable[Any], history: AsyncHistory, **options: Unpack[RecordOptions]) -> AsyncRecording[Any]:
    """Records what `runner.run_async(…)` gives; the events come out unchanged.

    The stream does not say what the user said: give it as `prompt=`, or give the runner the plugin as well. A stream
    that ends without any event, or where an agent has not said all, waits for a tool or owes an answer to what a tool
    gave, has broken off.
    """
    return start(AdkScript(), source, history, options)


def by_session(invocation_context: Any) -> Place:
    """The context of an invocation: by the keys `app_name`, `user_id` and `session_id`."""
    session = invocation_context.session
    return {"app_name": session.app_name, "user_id": session.user_id, "session_id": session.id}


class Recorder(BasePlugin):
    """A plugin that records the invocations of a runner: each as one run.

    - `context`: gives the context of an invocation, by its InvocationContext: an id or keys. Or it is these.
    - `name`: that of the plugin; a runner has no two of the same name.

    The other options are those of every recorder. Give it as the first of the plugins: the framework does not tell the
    others what one of them has answered.
    """

    def __init__(
        self,
        store: AsyncChatStore,
        *,
        context: Callable[[Any], Place] | Place = by_session,
        name: str = "chatstore",
        **options: Unpack[RecordOptions],
    ) -> None:
        super().__init__(name=name)
        check_options(options, "the plugin")
        if not isinstance(store, AsyncChatStore):
            raise UsageError(f"the plugin takes an AsyncChatStore, not {type(store).__name__}")
        self._store, self._context, self._options = store, _context_of(store, context), options
        self._going: dict[str, Invocation] = {}
        self._aside: WeakValueDictionary[str, Any] = WeakValueDictionary()
        self._others: WeakValueDictionary[str, Any] = WeakValueDictionary()

    def run_id(self, invocation_id: str) -> str | None:
        """The id of the run that an invocation is written as, while it goes on."""
        going = self._going.get(invocation_id)
        return None if going is None else going.writer.scope.id

    async def on_user_message_callback(self, *, invocation_context: Any, user_message: Any) -> None:
        """What the user said, before anything is done about it."""
        await self._begin(invocation_context, user_message)

    async def before_run_callback(self, *, invocation_context: Any) -> None:
        """An invocation begins, also one that goes on where it was interrupted."""
        await self._begin(invocation_context, None)

    async def on_event_callback(self, *, invocation_context: Any, event: Any) -> None:
        """An event, partial ones too."""
        going = self._going.get(invocation_context.invocation_id)
        if going is not None:
            going.watch()
            await going.take(event)

    async def after_run_callback(self, *, invocation_context: Any) -> None:
        """The invocation is over: it is done, or nobody reads it any more."""
        id, error = invocation_context.invocation_id, sys.exc_info()[1]
        aborted = bool(getattr(invocation_context, "is_aborted", False))
        if (going := self._going.get(id)) is not None:
            await going.over(asyncio.CancelledError() if aborted else going.stopped_by(error))
        other = self._others.pop(id, None)
        if other is not None and not aborted and not isinstance(error, (GeneratorExit, asyncio.CancelledError)):
            await other.take(Ended())

    async def on_run_error_callback(self, *, invocation_context: Any, error: Exception) -> None:
        """The invocation has failed."""
        going = self._going.get(invocation_context.invocation_id)
        if going is not None:
            await going.failed(error)

    async def before_agent_callback(self, *, agent: Any, callback_context: Any) -> None:
        """What an agent and its tools write belongs to the run."""
        self._enter(callback_context)

    async def before_tool_callback(self, *, tool: Any, tool_args: Any, tool_context: Any) -> None:
        """A tool may be an agent with a runner of its own."""
        self._enter(tool_context)

    async def after_agent_callback(self, *, agent: Any, callback_context: Any) -> None:
        """Also where the task is cancelled, of which the runner tells nothing."""
        going = self._going.get(callback_context.invocation_id)
        if going is not None and (error := going.cancelled_by(sys.exc_info()[1])) is not None:
            await going.over(error)

    async def close(self) -> None:
        """Ends what still goes on as cancelled."""
        for going in [*self._going.values()]:
            await going.over(asyncio.CancelledError())

    async def _begin(self, invocation_context: Any, message: Any) -> None:
        id = invocation_context.invocation_id
        if id in self._aside:
            return
        going = self._going.get(id) or await self._start(invocation_context, message)
        if going is not None:
            going.watch()

    async def _start(self, invocation_context: Any, message: Any) -> Invocation | None:
        """Begins to write an invocation; None where `record` writes it, or nobody can say where to."""
        id, outer = invocation_context.invocation_id, _within.get()
        outer = None if outer is None or outer.ended or outer.id == id else outer
        message = invocation_context.user_content if message is None else message
        history = self._history_of(invocation_context) if outer is None else outer.history
        other = None
        if outer is None and history is not None:
            other = pulled_by((self._store.location, history.context_id))
        if history is None or other is not None:
            self._aside[id] = invocation_context
            if other is not None:
                self._others[id] = other
                await other.take(UserSaid(message, id))
            return None
        going = self._going[id] = Invocation(history, self._options_of(outer), invocation_context, self._going)
        going.watch()
        await going.begin()
        await going.take(UserSaid(message, id, outer is not None))
        return going

    def _history_of(self, invocation_context: Any) -> AsyncHistory | None:
        try:
            return self._store.history(self._context(invocation_context))
        except Exception as error:
            if self._options.get("strict"):
                raise
            not_begun(error)
            return None

    def _options_of(self, outer: Invocation | None) -> RecordOptions:
        """What an agent says that is a tool of another one is said between agents."""
        if outer is None:
            return self._options
        return {**self._options, "parent_run_id": outer.writer.scope.id, "internal": True}

    def _enter(self, context: Any) -> None:
        going = self._going.get(context.invocation_id)
        if going is not None and _within.get() is not going:
            _within.set(going)
            going.enter()


def _context_of(store: AsyncChatStore, context: Any) -> Callable[[Any], Place]:
    if callable(context):
        return cast("Callable[[Any], Place]", context)
    if not isinstance(context, (str, Mapping)):
        raise InvalidInput(
            f"context is an id, keys, or a function that gives them for an invocation, not {type(context).__name__}"
        )
    store.history(context)  # says what is wrong with it
    return lambda _: context
