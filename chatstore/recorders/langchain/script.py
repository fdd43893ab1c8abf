"""What the callbacks of one invocation of LangChain's or LangGraph's mean.

Seen with langchain-core 1.8, langchain 1.5 and langgraph 1.2. What runs in an invocation has an id and that of what it
runs in. In a graph it knows its node, and the nodes around, by `metadata`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from chatstore.recorders.langchain.answer import Answer
from chatstore.recorders.langchain.graphs import Graphs
from chatstore.recorders.langchain.messages import (
    content_of,
    is_command,
    messages_in,
    new_messages,
    type_of,
)
from chatstore.recorders.langchain.runs import Cast, Run, Who, as_text, bubbles, is_stop, say
from chatstore.recorders.langchain.told import Told
from chatstore.recorders.langchain.tools import Results, Tools
from chatstore.recorders.machine.script import Begin, Finish, Grow, Key, Mark, Put, Script, Step, as_json
from chatstore.recorders.shared.marks import FINAL
from chatstore.recorders.shared.provider_events import known, plain


class LangChainScript(Script[Told]):
    """One invocation, which the end of its root completes.

    `cut`: the root ended while a model was still answering, as LangChain ends a sequence that nobody reads any more.
    """

    extra = "langchain"

    def __init__(self, cast: Cast, results: Results) -> None:
        super().__init__()
        self.cut: bool = False
        self._cast = cast
        self._tools = Tools(results)
        self._root: Any = None
        self._runs: dict[Any, Run] = {}
        self._asked = False
        self._in_graph = False
        self._ids: set[Any] = set()
        self._seen: dict[int, Any] = {}
        self._graphs = Graphs()
        self._last: Key | None = None

    def asked(self, prompt: str) -> Iterable[Step]:
        """What the person said, which is not taken from the input then."""
        self._asked = True
        return super().asked(prompt)

    def read(self, event: Told) -> Iterable[Step]:
        """A callback."""
        reader = _READERS.get(event.kind)
        return () if reader is None else reader(self, event)

    def only_grows(self, event: Told) -> bool:
        """Whether it is text for a block that is open, and nothing else."""
        run = self._runs.get(event.run_id) if event.kind == "llm_new_token" else None
        return run is not None and run.answer is not None and run.answer.speaks and isinstance(event.value, str)

    def is_step(self, event: Told) -> bool:
        """Whether something has begun that takes its time: a node, a tool, a model."""
        run = self._runs.get(event.run_id) if event.starts else None
        return run is not None and (run.node or event.kind != "chain_start")

    def finish(self) -> Iterable[Step]:
        """Errors of tools that nobody answered, and the mark of the answer."""
        yield from self._tools.left()
        if self._last is not None:
            yield Mark(self._last, [FINAL])

    def _start(self, event: Told) -> Run:
        parent = self._runs.get(event.parent_run_id)
        metadata = event.more.get("metadata") or {}
        below = None if parent is None else parent.below
        run = Run(parent, self._cast.who(metadata, event.more.get("tags") or (), below), below)
        node = metadata.get("langgraph_node")
        run.node = node is not None and event.kind == "chain_start" and event.more.get("name") == node
        self._runs[event.run_id] = run
        if self._root is None:
            self._root = event.run_id
        elif node is not None:
            self._in_graph = True
        return run

    def _end(self, event: Told) -> Run | None:
        run = self._runs.pop(event.run_id, None)
        if run is not None and run.parent is not None:
            run.parent.handed |= run.handed
        if event.run_id == self._root and not event.fails:
            self.cut = not self._in_graph and any(one.answer is not None for one in self._runs.values())
            self.complete: bool = not self.cut
        return run

    # What the person said.

    def _chain_start(self, event: Told) -> Iterator[Step]:
        run = self._start(event)
        if event.run_id == self._root:
            yield from self._inputs(event.value)
        elif run.node:
            for message in messages_in(event.value):
                self._see(message)

    def _inputs(self, given: Any) -> Iterator[Step]:
        resume = getattr(given, "resume", None) if is_command(given) else None
        if resume is None:
            yield from self._told(given)
            return
        self._asked = True
        type = "message" if isinstance(resume, str) else "input_response"
        yield Put(type, role="user", text=as_text(resume), data={"resume": as_json(resume)})

    def _told(self, given: Any) -> Iterator[Step]:
        """The new messages of what was given; what the person said, once for each invocation."""
        asked = self._asked
        for message in new_messages(given):
            self._see(message)
            if type_of(message) == "tool":
                yield from self._tools.given(message)
            elif not asked:
                self._asked = True
                text, parts = content_of(message)
                data = known(message_id=getattr(message, "id", None)) or None
                name = getattr(message, "name", None)
                yield Put(role="user", author=name, text=text, parts=parts, data=data)

    # Models.

    def _chat_start(self, event: Told) -> Iterator[Step]:
        run = self._start(event)
        if not self._asked and event.value:
            yield from self._told(event.value[0])
        self._begin_answer(event, run)

    def _llm_start(self, event: Told) -> Iterator[Step]:
        run = self._start(event)
        if not self._asked and event.value:
            yield Put(role="user", text=str(event.value[0]))
        self._begin_answer(event, run)

    def _begin_answer(self, event: Told, run: Run) -> None:
        self._asked = True
        run.answer = _answer_in(run, event.run_id)

    def _answer(self, event: Told) -> Answer | None:
        run = self._runs.get(event.run_id)
        return None if run is None else run.answer

    def _token(self, event: Told) -> Iterable[Step]:
        answer = self._answer(event)
        message = getattr(event.more.get("chunk"), "message", None)
        if answer is None:
            return ()
        if message is not None:
            return answer.take(message)
        return answer.take_text(event.value if isinstance(event.value, str) else "")

    def _stream_event(self, event: Told) -> Iterable[Step]:
        answer = self._answer(event)
        return () if answer is None else answer.take_event(event.value)

    def _llm_end(self, event: Told) -> Iterator[Step]:
        run, given = self._end(event), getattr(event.value, "generations", None)
        answer = None if run is None else run.answer
        if run is None or answer is None or not given:
            return
        for choice, generation in enumerate(given[0]):
            self._see(getattr(generation, "message", None))
            if not choice:
                yield from answer.end(generation, event.value)
            else:
                text = str(getattr(generation, "text", "") or "")
                yield Put(text=text, data={"choice": choice}, parent=run.below, **run.who.says())
        self._said(answer, run)

    def _llm_error(self, event: Told) -> Iterator[Step]:
        """One that was stopped leaves its blocks to the end of the run."""
        run = self._end(event)
        if run is not None and run.answer is not None and not is_stop(event.value):
            yield from run.answer.fail(say(event.value))

    # Tools and retrievers.

    def _tool_start(self, event: Told) -> Iterable[Step]:
        return self._tools.start(self._start(event), event.run_id, event.value, event.more)

    def _tool_end(self, event: Told) -> Iterator[Step]:
        if (run := self._runs.get(event.run_id)) is not None:
            yield from self._tools.end(run, event.value)
            yield from self._graphs.handoffs(event.value, run)
        self._end(event)

    def _tool_error(self, event: Told) -> Iterator[Step]:
        run = self._runs.get(event.run_id)
        if run is not None and bubbles(event.value):
            yield from self._graphs.bubbled(event.value, run)
        elif run is not None and not is_stop(event.value):
            yield from self._tools.fail(run, event.value)
        self._end(event)

    def _retriever_start(self, event: Told) -> Iterator[Step]:
        run = self._start(event)
        name = event.more.get("name") or (event.more.get("serialized") or {}).get("name")
        run.noted = {"retriever": name, "query": as_json(event.value)}
        yield Begin(event.run_id, "status", data={**run.noted}, parent=run.below, **run.who.says(None))
        yield Grow(event.run_id, str(event.value))

    def _retriever_end(self, event: Told) -> Iterator[Step]:
        if (run := self._end(event)) is not None:
            found = [_document(one) for one in event.value or ()]
            yield Finish(event.run_id, data={**run.noted, "documents": found})

    def _retriever_error(self, event: Told) -> Iterator[Step]:
        if self._end(event) is not None and not is_stop(event.value):
            yield Finish(event.run_id, error=say(event.value))

    # Nodes and graphs.

    def _chain_end(self, event: Told) -> Iterator[Step]:
        run = self._runs.get(event.run_id)
        if run is not None and run.node:
            for message in messages_in(event.value):
                yield from self._given(message, run)
            yield from self._graphs.handoffs(event.value, run)
            yield from self._tools.left(run)
        self._end(event)

    def _see(self, message: Any) -> bool:
        """Whether a message is new. It may get its id after it was seen: then it is known as the object that it is."""
        named = getattr(message, "id", None)
        new = named not in self._ids and id(message) not in self._seen
        self._seen[id(message)] = message  # which keeps another from taking its place
        if named is not None:
            self._ids.add(named)
        return new

    def _given(self, message: Any, run: Run) -> Iterator[Step]:
        """A message that a node gave. Those of models, and those that it was given, are known."""
        type = type_of(message)
        if not self._see(message):
            return
        if type == "tool":
            yield from self._tools.result_of(message, run.who)
        elif type == "ai":
            answer = _answer_in(run, ("given", id(message)))
            yield from answer.end(_Generation(message), None)
            self._said(answer, run)

    def _said(self, answer: Answer, run: Run) -> None:
        """An answer is whole."""
        self._tools.called(answer.calls)
        if answer.message is not None and not answer.calls and not run.who.internal:
            self._last = answer.message

    def _chain_error(self, event: Told) -> Iterator[Step]:
        run = self._runs.get(event.run_id)
        if run is not None and bubbles(event.value):
            yield from self._graphs.bubbled(event.value, run)
        elif run is not None and run.node and not is_stop(event.value):
            yield from self._tools.left(run)
        self._end(event)

    def _paused(self, event: Told) -> Iterable[Step]:
        return self._graphs.paused(event.value, self._who_of(event))

    # What is told between.

    def _retry(self, event: Told) -> Iterator[Step]:
        state, who = event.value, self._who_of(event)
        attempt, outcome = getattr(state, "attempt_number", None), getattr(state, "outcome", None)
        error = outcome.exception() if outcome is not None and getattr(outcome, "failed", False) else None
        text = "trying again" if error is None else f"trying again after {say(error)}"
        yield Put("status", text=text, data=known(attempt=attempt), **who.says(None))

    def _custom(self, event: Told) -> Iterator[Step]:
        name, data = str(event.more.get("name") or ""), event.value
        text = data if isinstance(data, str) else name
        yield Put("status", text=text, data={"event": name, "data": plain(data)}, **self._who_of(event).says(None))

    def _who_of(self, event: Told) -> Who:
        run = self._runs.get(event.run_id)
        return Who() if run is None else run.who


class _Generation:
    def __init__(self, message: Any) -> None:
        self.message = message


def _answer_in(run: Run, key: Key) -> Answer:
    said = {"author": run.who.author, "internal": run.who.internal, "parent": run.below}
    return Answer(key, said, streamed=run.who.streamed)


def _document(found: Any) -> dict[str, Any]:
    told = {"id": "id", "metadata": "metadata", "content": "page_content"}
    return known(**{name: getattr(found, field, None) for name, field in told.items()})


_READERS: Final[dict[str, Callable[[LangChainScript, Told], Iterable[Step]]]] = {
    "chain_start": LangChainScript._chain_start,
    "chain_end": LangChainScript._chain_end,
    "chain_error": LangChainScript._chain_error,
    "chat_model_start": LangChainScript._chat_start,
    "llm_start": LangChainScript._llm_start,
    "llm_new_token": LangChainScript._token,
    "stream_event": LangChainScript._stream_event,
    "llm_end": LangChainScript._llm_end,
    "llm_error": LangChainScript._llm_error,
    "tool_start": LangChainScript._tool_start,
    "tool_end": LangChainScript._tool_end,
    "tool_error": LangChainScript._tool_error,
    "retriever_start": LangChainScript._retriever_start,
    "retriever_end": LangChainScript._retriever_end,
    "retriever_error": LangChainScript._retriever_error,
    "retry": LangChainScript._retry,
    "custom_event": LangChainScript._custom,
    "interrupt": LangChainScript._paused,
}
