"""The callback handler for what runs in an event loop."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Any, Final

from langchain_core.callbacks import AsyncCallbackHandler

from chatstore.async_history import AsyncHistory
from chatstore.errors import RunCancelled, UsageError
from chatstore.recorders.langchain.base_handler import BaseHandler
from chatstore.recorders.langchain.invocations import Invocation, ignored
from chatstore.recorders.langchain.script import LangChainScript
from chatstore.recorders.langchain.told import Told, graph_told, told
from chatstore.recorders.machine.async_script_writer import AsyncScriptWriter
from chatstore.runs import Inside

_log: Final = logging.getLogger("chatstore.recorders")
_MOST: Final = 5.0


class _Invocation(Invocation):
    """One invocation, told of in the event loop of its store.

    Functions that are no coroutines tell of what they do from threads, by loops that last for one event. Such an event
    is handed over and not waited for, as the loop may wait for that thread.
    """

    def __init__(self, root: Any, script: LangChainScript, writer: AsyncScriptWriter, home: Any) -> None:
        super().__init__(root, script)
        self.writer = writer
        self._home: asyncio.AbstractEventLoop = home
        self._waiting: deque[Told] = deque()
        self._lock = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._problem: Exception | None = None

    async def tell(self, event: Told) -> None:
        """Records it. Raises RunCancelled if somebody stopped the run."""
        if asyncio.get_running_loop() is not self._home:
            await self._hand_over(event)
            return
        if self.begun and not self._waiting and not self._lock.locked() and self.script.only_grows(event):
            async with self._lock:
                await self._record(event)
        else:
            self._waiting.append(event)
            await asyncio.shield(self._begin_working())  # so that one who is cancelled leaves no event half recorded
        self._raise(event)
        self.make_current(event, Inside(self.writer.scope))

    async def _hand_over(self, event: Told) -> None:
        self._waiting.append(event)
        working = asyncio.run_coroutine_threadsafe(self._work(), self._home)
        if self.is_end(event):
            try:
                await asyncio.wait_for(asyncio.wrap_future(working), _MOST)
            except TimeoutError:
                _log.warning(
                    "the event loop was busy, what ended may not be stored yet; in it, await ainvoke or astream"
                )

    async def abandon(self, error: asyncio.CancelledError) -> None:
        """Ends it where it was stopped so early that LangChain does not tell of its end."""
        self._waiting.append(Told("chain_error", error, self.root))
        await asyncio.shield(self._begin_working())

    def _raise(self, event: Told) -> None:
        problem, self._problem = self._problem, None
        if problem is not None:
            raise problem
        if (stopped := self.raises(event)) is not None:
            raise stopped

    def _begin_working(self) -> asyncio.Task[None]:
        task = self._home.create_task(self._work())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _work(self) -> None:
        async with self._lock:
            while self._waiting:
                await self._record(self._waiting.popleft())

    async def _record(self, event: Told) -> None:
        try:
            await self._take(event)
        except RunCancelled as error:
            self.stopped = error
        except Exception as error:
            self._problem = error
        if self.is_end(event):
            await self._end(event)

    async def _take(self, event: Told) -> None:
        if not self.begun:
            self.begun = True
            await self.writer.begin()
        if self.stopped is None:
            await self.writer.take(event)
            if self.script.is_step(event):
                await self.writer.check()

    async def _end(self, event: Told) -> None:
        try:
            await self.writer.end(self.ending(event))
        except RunCancelled as error:
            self.stopped = error
        except Exception as error:
            self._problem = error


class AsyncHistoryCallbackHandler(AsyncCallbackHandler, BaseHandler[AsyncHistory, _Invocation]):  # type: ignore[misc, unused-ignore]
    """`HistoryCallbackHandler` for `ainvoke` and `astream`, with a history of an AsyncChatStore."""

    _takes = AsyncHistory

    def _make(self, event: Told) -> _Invocation:
        script = self._script()
        return _Invocation(event.run_id, script, AsyncScriptWriter(script, self._history, self._options), self._home())

    def _home(self) -> asyncio.AbstractEventLoop:
        """The loop to record in: this one, unless LangChain made it for one event."""
        here = asyncio.get_running_loop()
        if not _passes(asyncio.current_task()):
            return here
        home = self._history._store._loop
        if home is None or not home.is_running():
            raise UsageError(
                "an AsyncHistoryCallbackHandler records what is awaited, such as ainvoke and astream; for invoke and"
                " stream take a HistoryCallbackHandler"
            )
        return home

    async def _tell(self, event: Told) -> None:
        found = None
        try:
            found = self._invocations.find(event)
            if found is not None:
                await found.tell(event)
        except RunCancelled:
            raise
        except asyncio.CancelledError as error:
            if found is not None and event.starts and event.run_id == found.root:
                self._invocations.find(Told("chain_error", error, found.root))
                await found.abandon(error)
            raise
        except Exception as error:
            if self._options.get("strict", False):
                raise
            ignored(error)

    async def on_chain_start(self, serialized: Any, inputs: Any, **more: Any) -> None:
        """As `HistoryCallbackHandler.on_chain_start`."""
        await self._tell(told("chain_start", inputs, more))

    async def on_chain_end(self, outputs: Any, **more: Any) -> None:
        """As `HistoryCallbackHandler.on_chain_end`."""
        await self._tell(told("chain_end", outputs, more))

    async def on_chain_error(self, error: Any, **more: Any) -> None:
        """As `HistoryCallbackHandler.on_chain_error`."""
        await self._tell(told("chain_error", error, more))

    async def on_chat_model_start(self, serialized: Any, messages: Any, **more: Any) -> None:
        """As `HistoryCallbackHandler.on_chat_model_start`."""
        await self._tell(told("chat_model_start", messages, more))

    async def on_llm_start(self, serialized: Any, prompts: Any, **more: Any) -> None:
        """As `HistoryCallbackHandler.on_llm_start`."""
        await self._tell(told("llm_start", prompts, more))

    async def on_llm_new_token(self, token: Any, **more: Any) -> None:
        """As `HistoryCallbackHandler.on_llm_new_token`."""
        await self._tell(told("llm_new_token", token, more))

    async def on_stream_event(self, event: Any, **more: Any) -> None:
        """As `HistoryCallbackHandler.on_stream_event`."""
        await self._tell(told("stream_event", event, more))

    async def on_llm_end(self, response: Any, **more: Any) -> None:
        """As `HistoryCallbackHandler.on_llm_end`."""
        await self._tell(told("llm_end", response, more))

    async def on_llm_error(self, error: Any, **more: Any) -> None:
        """As `HistoryCallbackHandler.on_llm_error`."""
        await self._tell(told("llm_error", error, more))

    async def on_tool_start(self, serialized: Any, input_str: Any, **more: Any) -> None:
        """As `HistoryCallbackHandler.on_tool_start`."""
        await self._tell(told("tool_start", input_str, {**more, "serialized": serialized}))

    async def on_tool_end(self, output: Any, **more: Any) -> None:
        """As `HistoryCallbackHandler.on_tool_end`."""
        await self._tell(told("tool_end", output, more))

    async def on_tool_error(self, error: Any, **more: Any) -> None:
        """As `HistoryCallbackHandler.on_tool_error`."""
        await self._tell(told("tool_error", error, more))

    async def on_retriever_start(self, serialized: Any, query: Any, **more: Any) -> None:
        """As `HistoryCallbackHandler.on_retriever_start`."""
        await self._tell(told("retriever_start", query, {**more, "serialized": serialized}))

    async def on_retriever_end(self, documents: Any, **more: Any) -> None:
        """As `HistoryCallbackHandler.on_retriever_end`."""
        await self._tell(told("retriever_end", documents, more))

    async def on_retriever_error(self, error: Any, **more: Any) -> None:
        """As `HistoryCallbackHandler.on_retriever_error`."""
        await self._tell(told("retriever_error", error, more))

    async def on_retry(self, retry_state: Any, **more: Any) -> None:
        """As `HistoryCallbackHandler.on_retry`."""
        await self._tell(told("retry", retry_state, more))

    async def on_custom_event(self, name: Any, data: Any, **more: Any) -> None:
        """As `HistoryCallbackHandler.on_custom_event`."""
        await self._tell(told("custom_event", data, {**more, "name": name}))

    async def on_interrupt(self, event: Any) -> None:
        """As `HistoryCallbackHandler.on_interrupt`."""
        await self._tell(graph_told("interrupt", event))


def _passes(task: asyncio.Task[Any] | None) -> bool:
    """Whether the task is nothing but one callback: so LangChain calls coroutines where nobody awaits anything."""
    frame = getattr(task.get_coro() if task is not None else None, "cr_frame", None)
    return frame is not None and frame.f_globals.get("__name__") in (__name__, "langchain_core.callbacks.manager")
