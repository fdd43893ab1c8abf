"""Agents of the SDK whose models say what they were told to say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from agents import Agent, Model, ModelResponse, RunConfig, Runner, Usage, function_tool, set_tracing_disabled
from openai.types.responses import (
    Response,
    ResponseCompletedEvent,
    ResponseCreatedEvent,
    ResponseFunctionCallArgumentsDeltaEvent,
    ResponseFunctionToolCall,
    ResponseOutputItemAddedEvent,
    ResponseOutputItemDoneEvent,
    ResponseOutputMessage,
    ResponseOutputText,
    ResponseReasoningItem,
    ResponseReasoningSummaryTextDeltaEvent,
    ResponseTextDeltaEvent,
    ResponseUsage,
)
from openai.types.responses.response_reasoning_item import Summary
from openai.types.responses.response_usage import InputTokensDetails, OutputTokensDetails

set_tracing_disabled(True)
USAGE = ResponseUsage(
    input_tokens=10,
    output_tokens=4,
    total_tokens=14,
    input_tokens_details=InputTokensDetails(cached_tokens=3, cache_write_tokens=0),
    output_tokens_details=OutputTokensDetails(reasoning_tokens=1),
)
_numbers = iter(range(1, 1_000_000))


def message(text: str, id: str | None = None) -> ResponseOutputMessage:
    """What a model says."""
    content = ResponseOutputText(type="output_text", text=text, annotations=[])
    name = id or f"msg_{next(_numbers)}"
    return ResponseOutputMessage(id=name, type="message", role="assistant", status="completed", content=[content])


def call(name: str, arguments: str = "{}", call_id: str = "") -> ResponseFunctionToolCall:
    """A call that a model wishes."""
    number = next(_numbers)
    return ResponseFunctionToolCall(
        id=f"fc_{number}", type="function_call", name=name, arguments=arguments, call_id=call_id or f"call_{number}"
    )


def thought(text: str, sealed: str | None = None) -> ResponseReasoningItem:
    """What a model thinks."""
    summary = [Summary(type="summary_text", text=text)] if text else []
    return ResponseReasoningItem(id=f"rs_{next(_numbers)}", type="reasoning", summary=summary, encrypted_content=sealed)


def pieces(text: str) -> list[str]:
    """A text word by word."""
    return [word + " " for word in text.split(" ")[:-1]] + [text.split(" ")[-1]]


class Scripted(Model):
    """Each answer is a list of items, or an error; among the words of a text that is given as a list may be events to
    wait for, and errors. `plain`: it does not stream. Without `pause` nobody reads before all of an answer is there."""

    def __init__(self, *answers: Any, plain: bool = False, pause: bool = True) -> None:
        self.answers = list(answers)
        self.asked: list[Any] = []
        self.plain = plain
        self.pause = pause

    async def get_response(self, system_instructions: Any, input: Any, *more: Any, **named: Any) -> ModelResponse:
        self.asked.append(input)
        items = [whole(one) for one in self.answers.pop(0)]
        return ModelResponse(output=items, usage=Usage(requests=1), response_id=None)

    async def stream_response(
        self, system_instructions: Any, input: Any, *more: Any, **named: Any
    ) -> AsyncIterator[Any]:
        self.asked.append(input)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        async for event in self._events(answer):
            yield event
            if self.pause:
                await asyncio.sleep(0)

    async def _events(self, answer: Sequence[Any]) -> AsyncIterator[Any]:
        items = [whole(one) for one in answer]
        number = iter(range(1_000_000))
        response = Response(
            id=f"resp_{next(_numbers)}",
            created_at=1,
            model="scripted",
            object="response",
            output=[],
            tools=[],
            tool_choice="auto",
            parallel_tool_calls=True,
        )
        if not self.plain:
            yield ResponseCreatedEvent(type="response.created", response=response, sequence_number=next(number))
            for index, (one, item) in enumerate(zip(answer, items, strict=True)):
                async for event in _said(index, one, item, number):
                    yield event
        ended = response.model_copy(update={"output": items, "usage": USAGE, "status": "completed"})
        yield ResponseCompletedEvent(type="response.completed", response=ended, sequence_number=next(number))


def whole(one: Any) -> Any:
    """An item whose words are a list."""
    return one[0] if isinstance(one, tuple) else one


async def _said(index: int, one: Any, item: Any, number: Any) -> AsyncIterator[Any]:
    begun = item.model_copy(update={"content": []} if item.type == "message" else {"summary": []})
    if item.type == "function_call":
        begun = item.model_copy(update={"arguments": ""})
    yield ResponseOutputItemAddedEvent(
        type="response.output_item.added", item=begun, output_index=index, sequence_number=next(number)
    )
    words = one[1] if isinstance(one, tuple) else pieces(_text(item))
    for word in words:
        if isinstance(word, asyncio.Event):
            await word.wait()
        elif isinstance(word, Exception):
            raise word
        elif word:
            yield _delta(index, item, word, next(number))
    yield ResponseOutputItemDoneEvent(
        type="response.output_item.done", item=item, output_index=index, sequence_number=next(number)
    )


def _text(item: Any) -> str:
    if item.type == "message":
        return str(item.content[0].text)
    return str(item.arguments) if item.type == "function_call" else "".join(one.text for one in item.summary)


def _delta(index: int, item: Any, word: str, number: int) -> Any:
    place = {"item_id": item.id, "output_index": index, "delta": word, "sequence_number": number}
    if item.type == "message":
        return ResponseTextDeltaEvent(type="response.output_text.delta", content_index=0, logprobs=[], **place)
    if item.type == "function_call":
        return ResponseFunctionCallArgumentsDeltaEvent(type="response.function_call_arguments.delta", **place)
    return ResponseReasoningSummaryTextDeltaEvent(
        type="response.reasoning_summary_text.delta", summary_index=0, **place
    )


def growing(text: str, *words: Any) -> tuple[Any, list[Any]]:
    """A message that is said in these pieces."""
    return message(text), list(words)


@function_tool
async def add(a: int, b: int) -> str:
    """Adds."""
    return str(a + b)


@function_tool
async def boom() -> str:
    """Raises."""
    raise ValueError("boom")


def agent(name: str, *answers: Any, **options: Any) -> Agent[Any]:
    """An agent whose model gives these answers."""
    own = {key: options.pop(key) for key in ("plain", "pause") if key in options}
    return Agent(name=name, model=Scripted(*answers, **own), **options)


def adder() -> Agent[Any]:
    """One that thinks, adds, and says the sum."""
    return agent(
        "adder",
        [thought("I have to add"), call("add", '{"a": 2, "b": 3}', "c1")],
        [message("The sum is 5")],
        tools=[add],
    )


def run(agent: Agent[Any], asked: Any = "Add 2 and 3", **options: Any) -> Any:
    """A run that streams."""
    return Runner.run_streamed(agent, asked, run_config=options.pop("run_config", RunConfig()), **options)


def shapes(blocks: list[Any]) -> list[tuple[Any, ...]]:
    """What blocks say, without those of the session's own."""
    return [(one.type, one.state, one.author, one.text) for one in blocks if not one.type.startswith("session_")]
