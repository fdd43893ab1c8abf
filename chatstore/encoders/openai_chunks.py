"""A run as a stream of OpenAI chat.completion.chunk objects, for whoever has a client for those.

There is one message in such a stream, and no place for what happens beside it: messages of the assistant follow each
other with an empty line between them, those that grow at the same time one after the other; results, statuses and what
the user says are left out. Source of the format: platform.openai.com, and the package `openai`, against which this is
tested; `reasoning_content` is what DeepSeek's and vLLM's streams call it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from chatstore.changes import Change, HistoryErased, RunEnded, RunStarted
from chatstore.encoders.growth import Begun, Ended, Grown, Growth, Step
from chatstore.encoders.in_turn import InTurn
from chatstore.encoders.shown import Calls, Event, failure, field, function_name, is_for_people, shape_of, token_counts
from chatstore.model import Block, JsonValue, Run

DONE = "[DONE]"
"""The data of the last server-sent event, behind the chunks."""


class OpenAIChunkEncoder:
    """The chunks of one run, fed with its changes from the beginning.

    `created` is in seconds since 1970. `internal` shows also what is not for people.
    """

    def __init__(self, run_id: str, *, created: int = 0, model: str = "chatstore", internal: bool = False) -> None:
        self._run = run_id
        self._internal = internal
        self._head = {"id": f"chatcmpl-{run_id}", "object": "chat.completion.chunk", "created": created, "model": model}
        self._growth = Growth()
        self._calls = Calls()
        self._numbers: dict[int, int] = {}
        self._call_ids: set[str] = set()
        self._turns = {"content": InTurn(), "reasoning_content": InTurn()}
        self._asks = False
        self._begun = False
        self.over: bool = False

    def encode(self, change: Change) -> list[Event]:
        """The chunks of one change; none once the run is over."""
        return [] if self.over else [*self._chunks(change)]

    def end(self) -> list[Event]:
        """The chunk that ends a stream which is broken off here."""
        return [] if self.over else [_error("the run goes on; read it again", "running")]

    def _chunks(self, change: Change) -> Iterator[Event]:
        match change:
            case RunStarted(run=run) if run.id == self._run:
                self._head["created"] = int(run.started_at.timestamp())
                yield from self._start()
            case RunEnded(run=run) if run.id == self._run:
                self.over = True
                yield from self._finish(run)
            case HistoryErased():
                self.over = True
                yield _error("the history was erased", "context_erased")
            case _:
                for step in self._growth.steps(change):
                    if self._shows(step.block):
                        yield from self._start()
                        yield from self._step(step)

    def _shows(self, block: Block) -> bool:
        said = block.type != "message" or block.role == "assistant"
        return said and block.run_id == self._run and (self._internal or is_for_people(block))

    def _start(self) -> Iterator[Event]:
        if not self._begun:
            self._begun = True
            yield self._chunk({"role": "assistant", "content": ""})

    def _step(self, step: Step) -> Iterator[Event]:
        block = step.block
        channel = {"text": "content", "reasoning": "reasoning_content"}.get(shape_of(block))
        match step:
            case Begun():
                self._calls.add(block)
                if channel is not None:
                    self._turns[channel].begin(block.index)
                elif shape_of(block) == "call":
                    yield self._call(block)
            case Grown(text=piece):
                if channel is not None:
                    yield from self._say(channel, self._turns[channel].grow(block.index, piece))
                elif block.index in self._numbers:
                    yield self._arguments(block, piece)
            case Ended():
                if channel is not None:
                    yield from self._say(channel, self._turns[channel].end(block.index))
                elif shape_of(block) == "result" and self._calls.answered_by(block):
                    self._asks = False

    def _say(self, channel: str, told: Iterable[str]) -> Iterator[Event]:
        for text in told:
            self._asks = False
            yield self._chunk({channel: text})

    def _call(self, block: Block) -> Event:
        number = self._numbers[block.index] = len(self._numbers)
        call_id = field(block, "call_id")
        id = block.id if call_id is None or call_id in self._call_ids else call_id
        self._call_ids.add(id)
        self._asks = True
        function = {"name": function_name(block), "arguments": ""}
        return self._chunk({"tool_calls": [{"index": number, "id": id, "type": "function", "function": function}]})

    def _arguments(self, block: Block, piece: str) -> Event:
        return self._chunk({"tool_calls": [{"index": self._numbers[block.index], "function": {"arguments": piece}}]})

    def _finish(self, run: Run) -> Iterator[Event]:
        yield from self._start()
        if run.state in ("failed", "interrupted"):
            yield _error(failure(run), run.state)
            return
        yield self._chunk({}, "tool_calls" if self._asks else "stop")
        counts = token_counts(run.usage)
        if counts:
            yield {**self._head, "choices": [], "usage": _usage(counts)}

    def _chunk(self, delta: JsonValue, finish_reason: str | None = None) -> Event:
        return {**self._head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}


def _usage(counts: dict[str, int]) -> Event:
    prompt, completion = counts.get("input", 0), counts.get("output", 0)
    usage: Event = {"prompt_tokens": prompt, "completion_tokens": completion}
    usage["total_tokens"] = counts.get("total", prompt + completion)
    if "reasoning" in counts:
        usage["completion_tokens_details"] = {"reasoning_tokens": counts["reasoning"]}
    if "cached" in counts:
        usage["prompt_tokens_details"] = {"cached_tokens": counts["cached"]}
    return usage


def _error(message: str, code: str) -> Event:
    return {"error": {"message": message, "type": "run_error", "code": code}}
