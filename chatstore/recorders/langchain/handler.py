"""The callback handler for what runs in threads."""

from __future__ import annotations

import threading
from typing import Any

from chatstore.errors import RunCancelled
from chatstore.history import History
from chatstore.recorders.langchain.base_handler import BaseHandler
from chatstore.recorders.langchain.invocations import Invocation, ignored
from chatstore.recorders.langchain.script import LangChainScript
from chatstore.recorders.langchain.told import Told, graph_told, told
from chatstore.recorders.machine.script_writer import ScriptWriter
from chatstore.runs import Inside


class _Invocation(Invocation):
    """One invocation, which many threads may tell of."""

    def __init__(self, root: Any, script: LangChainScript, writer: ScriptWriter) -> None:
        super().__init__(root, script)
        self.writer = writer
        self._lock = threading.Lock()

    def tell(self, event: Told) -> None:
        """Records it. Raises RunCancelled if somebody stopped the run."""
        with self._lock:
            try:
                self._take(event)
            except RunCancelled as error:
                self.stopped = error
            if self.is_end(event):
                self._end(event)
        if (stopped := self.raises(event)) is not None:
            raise stopped
        self.make_current(event, Inside(self.writer.scope))

    def _take(self, event: Told) -> None:
        if not self.begun:
            self.begun = True
            self.writer.begin()
        if self.stopped is None:
            self.writer.take(event)
            if self.script.is_step(event):
                self.writer.check()

    def _end(self, event: Told) -> None:
        try:
            self.writer.end(self.ending(event))
        except RunCancelled as error:
            self.stopped = error


class HistoryCallbackHandler(BaseHandler[History, _Invocation]):  # type: ignore[misc, unused-ignore]
    """Writes what LangChain and LangGraph do into a history, one run for each invocation: `config={"callbacks": [it]}`.

    - `shown`: the agents and nodes that speak to the person; what is said in others is `internal`. By default all are
      shown, but for agents that work inside of tools.
    - `streamed`: those whose text is written as it comes; that of others is stored whole. By default all.
    - `live`: models stream their text into the history where the agent is invoked and not streamed, too.

    The other options are those of every recorder, see `RecordOptions`. One handler serves any number of invocations,
    also at the same time. In an event loop use `AsyncHistoryCallbackHandler`; this one makes it wait for the disk.
    """

    _takes = History

    def _make(self, event: Told) -> _Invocation:
        script = self._script()
        return _Invocation(event.run_id, script, ScriptWriter(script, self._history, self._options))

    def _tell(self, event: Told) -> None:
        try:
            found = self._invocations.find(event)
            if found is not None:
                found.tell(event)
        except RunCancelled:
            raise
        except Exception as error:
            if self._options.get("strict", False):
                raise
            ignored(error)

    def on_chain_start(self, serialized: Any, inputs: Any, **more: Any) -> None:
        """A graph, a node, a sequence begins."""
        self._tell(told("chain_start", inputs, more))

    def on_chain_end(self, outputs: Any, **more: Any) -> None:
        """It ends."""
        self._tell(told("chain_end", outputs, more))

    def on_chain_error(self, error: Any, **more: Any) -> None:
        """It fails, or is stopped."""
        self._tell(told("chain_error", error, more))

    def on_chat_model_start(self, serialized: Any, messages: Any, **more: Any) -> None:
        """A chat model begins."""
        self._tell(told("chat_model_start", messages, more))

    def on_llm_start(self, serialized: Any, prompts: Any, **more: Any) -> None:
        """A model that has no messages begins."""
        self._tell(told("llm_start", prompts, more))

    def on_llm_new_token(self, token: Any, **more: Any) -> None:
        """A model says a piece."""
        self._tell(told("llm_new_token", token, more))

    def on_stream_event(self, event: Any, **more: Any) -> None:
        """A model says a piece, in the words of the protocol."""
        self._tell(told("stream_event", event, more))

    def on_llm_end(self, response: Any, **more: Any) -> None:
        """A model has said all."""
        self._tell(told("llm_end", response, more))

    def on_llm_error(self, error: Any, **more: Any) -> None:
        """A model fails."""
        self._tell(told("llm_error", error, more))

    def on_tool_start(self, serialized: Any, input_str: Any, **more: Any) -> None:
        """A tool begins."""
        self._tell(told("tool_start", input_str, {**more, "serialized": serialized}))

    def on_tool_end(self, output: Any, **more: Any) -> None:
        """A tool ends."""
        self._tell(told("tool_end", output, more))

    def on_tool_error(self, error: Any, **more: Any) -> None:
        """A tool fails, or interrupts its graph."""
        self._tell(told("tool_error", error, more))

    def on_retriever_start(self, serialized: Any, query: Any, **more: Any) -> None:
        """A retriever looks."""
        self._tell(told("retriever_start", query, {**more, "serialized": serialized}))

    def on_retriever_end(self, documents: Any, **more: Any) -> None:
        """A retriever has found something."""
        self._tell(told("retriever_end", documents, more))

    def on_retriever_error(self, error: Any, **more: Any) -> None:
        """A retriever fails."""
        self._tell(told("retriever_error", error, more))

    def on_retry(self, retry_state: Any, **more: Any) -> None:
        """A model is asked again."""
        self._tell(told("retry", retry_state, more))

    def on_custom_event(self, name: Any, data: Any, **more: Any) -> None:
        """Somebody dispatched an event of their own."""
        self._tell(told("custom_event", data, {**more, "name": name}))

    def on_interrupt(self, event: Any) -> None:
        """A graph waits."""
        self._tell(graph_told("interrupt", event))
