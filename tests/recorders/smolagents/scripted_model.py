"""Agents of smolagents whose model says what it was told to say."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

from rich.console import Console
from smolagents import CodeAgent, Tool, ToolCallingAgent, tool
from smolagents.models import (
    ChatMessage,
    ChatMessageStreamDelta,
    ChatMessageToolCall,
    ChatMessageToolCallFunction,
    ChatMessageToolCallStreamDelta,
    MessageRole,
    Model,
)
from smolagents.monitoring import LogLevel, TokenUsage

INPUT, OUTPUT = 11, 5
PIECE = 7

Calls = Sequence[tuple[str, str]]


class WholeModel(Model):
    """Answers whole. An answer is a text, or a text and calls: names, with arguments as JSON. An exception is raised,
    behind the text where it comes with one."""

    def __init__(self, *answers: Any) -> None:
        super().__init__(model_id="scripted")
        self._answers = iter(answers)
        self._numbers = count(1)

    def _next(self) -> tuple[str, Calls, Exception | None]:
        answer = next(self._answers)
        if isinstance(answer, str):
            return answer, (), None
        if isinstance(answer, Exception):
            return "", (), answer
        text, behind = answer
        return (text, (), behind) if isinstance(behind, Exception) else (text, behind, None)

    def generate(self, messages: Any, **_: Any) -> ChatMessage:
        text, calls, error = self._next()
        if error is not None:
            raise error
        turn = next(self._numbers)
        made = [
            ChatMessageToolCall(ChatMessageToolCallFunction(arguments, name), f"call_{turn}_{place}", "function")
            for place, (name, arguments) in enumerate(calls)
        ]
        return ChatMessage(MessageRole.ASSISTANT, text, made or None, token_usage=TokenUsage(INPUT, OUTPUT))


class StreamedModel(WholeModel):
    """Answers in pieces; what it cost comes with the last."""

    def generate_stream(self, messages: Any, **_: Any) -> Iterator[ChatMessageStreamDelta]:
        text, calls, error = self._next()
        turn = next(self._numbers)
        for piece in _pieces(text):
            yield ChatMessageStreamDelta(piece)
        if error is not None:
            raise error
        for place, (name, arguments) in enumerate(calls):
            yield _call(place, f"call_{turn}_{place}", name, "")
            for piece in _pieces(arguments):
                yield _call(place, None, None, piece)
        yield ChatMessageStreamDelta("", token_usage=TokenUsage(INPUT, OUTPUT))


def _pieces(text: str) -> Iterator[str]:
    return (text[place : place + PIECE] for place in range(0, len(text), PIECE))


def _call(index: int, id: str | None, name: str | None, arguments: str) -> ChatMessageStreamDelta:
    function: Any = ChatMessageToolCallFunction(arguments, name)
    return ChatMessageStreamDelta("", [ChatMessageToolCallStreamDelta(index, id, id and "function", function)])


@tool
def add(a: int, b: int) -> int:
    """Adds.

    Args:
        a: a number
        b: a number
    """
    return a + b


@tool
def boom(x: int) -> int:
    """Raises.

    Args:
        x: a number
    """
    raise ValueError(f"boom {x}")


def code_agent(*answers: Any, tools: Sequence[Tool] = (add,), model: Any = None, **options: Any) -> CodeAgent:
    """An agent that writes code, whose model answers in pieces."""
    model = StreamedModel(*answers) if model is None else model
    options = {"stream_outputs": True, "verbosity_level": LogLevel.OFF, **options}
    return _quiet(CodeAgent([*tools], model, **options))


def tool_agent(*answers: Any, tools: Sequence[Tool] = (add, boom), model: Any = None, **options: Any) -> Any:
    """An agent that calls tools, whose model answers in pieces."""
    model = StreamedModel(*answers) if model is None else model
    options = {"stream_outputs": True, "verbosity_level": LogLevel.OFF, **options}
    return _quiet(ToolCallingAgent([*tools], model, **options))


def _quiet(agent: Any) -> Any:
    agent.logger.console = Console(file=io.StringIO())  # what streams is printed at every level
    return agent


PLAN = "1. add the numbers\n2. answer<end_plan>"
ADDING = "Thought: add them.\n<code>\nx = add(2, 3)\nprint('sum', x)\n</code>"
ANSWERING = "Thought: answer.\n<code>\nfinal_answer(x)\n</code>"
