"""Models of LangChain that say what they were told to say, and agents and graphs with them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.chat_models import agenerate_from_stream, generate_from_stream
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.tools import tool

from chatstore import AsyncChatStore, Block, ChatStore
from chatstore.recorders.langchain import AsyncHistoryCallbackHandler, HistoryCallbackHandler

CONTEXT = "chat"
FACES = ("sync", "async")
USAGE = {"input_tokens": 9, "output_tokens": 4, "total_tokens": 13}


class Model(BaseChatModel):
    """Says one of its answers at each call. An answer is a list: texts, chunks, exceptions to be raised, functions to
    be called; or one whole message."""

    answers: list[Any]
    asked: list[Any]

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Any, **_: Any) -> Any:
        return self

    def _stream(self, messages: Any, stop: Any = None, run_manager: Any = None, **_: Any) -> Iterator[Any]:
        self.asked.append(messages)
        for item in _items(self.answers.pop(0)):
            if callable(item):
                item()
            else:
                yield _chunk(item)

    async def _astream(self, messages: Any, stop: Any = None, run_manager: Any = None, **_: Any) -> AsyncIterator[Any]:
        self.asked.append(messages)
        for item in _items(self.answers.pop(0)):
            if callable(item):
                done = item()
                if isinstance(done, Awaitable):
                    await done
            else:
                yield _chunk(item)

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **_: Any) -> ChatResult:
        if self.answers and isinstance(self.answers[0], AIMessage):
            self.asked.append(messages)
            return ChatResult(generations=[ChatGeneration(message=self.answers.pop(0))])
        return generate_from_stream(self._stream(messages))

    async def _agenerate(self, messages: Any, stop: Any = None, run_manager: Any = None, **_: Any) -> ChatResult:
        if self.answers and isinstance(self.answers[0], AIMessage):
            return self._generate(messages)
        return await agenerate_from_stream(self._astream(messages))


def _items(answer: Any) -> list[Any]:
    if not isinstance(answer, AIMessage):
        return list(answer)
    told = {"content": answer.content, "additional_kwargs": answer.additional_kwargs}
    return [AIMessageChunk(**told, tool_calls=answer.tool_calls, usage_metadata=answer.usage_metadata)]


def _chunk(item: Any) -> ChatGenerationChunk:
    if isinstance(item, BaseException):
        raise item
    message = item if isinstance(item, AIMessageChunk) else AIMessageChunk(item)
    return ChatGenerationChunk(message=message.model_copy(deep=True))


def model(*answers: Any) -> Model:
    return Model(answers=list(answers), asked=[])


def call(name: str, args: str, id: str | None = "c1", index: int = 0) -> AIMessageChunk:
    """A piece of a call."""
    piece = {"index": index, "id": id, "name": name or None, "args": args, "type": "tool_call_chunk"}
    return AIMessageChunk("", tool_call_chunks=[piece])


def spent(**usage: int) -> AIMessageChunk:
    return AIMessageChunk("", usage_metadata={**USAGE, **usage})


@tool
def add(a: int, b: int) -> int:
    """Adds."""
    return a + b


@tool
def boom(x: int) -> str:
    """Raises."""
    raise ValueError("boom")


def adder(*answers: Any, tools: Any = (add,), **options: Any) -> Any:
    """An agent that adds, with a sum of two and three by default."""
    script = answers or (
        ["Let ", "me see. ", call("add", '{"a": 2,'), call("", ' "b": 3}', None), spent()],
        ["It is ", "5."],
    )
    return create_agent(model(*script), list(tools), **{"name": "calculator", **options})


def ask(text: str = "add 2 and 3") -> dict[str, Any]:
    return {"messages": [("user", text)]}


def plain(value: Any) -> Any:
    """What an agent gave, without ids, which differ from run to run."""
    if isinstance(value, BaseMessage):
        return (type(value).__name__, value.content, getattr(value, "tool_calls", None), value.additional_kwargs)
    if isinstance(value, dict):
        return {
            key: plain(one) for key, one in value.items() if key not in ("langgraph_checkpoint_ns", "checkpoint_ns")
        }
    return [plain(one) for one in value] if isinstance(value, (list, tuple)) else value


class Recorded:
    """A store of one face, a handler, and how to run something with it."""

    def __init__(self, face: str, path: Any) -> None:
        self.face, self.path = face, path

    def run(self, work: Callable[..., Any], **options: Any) -> Any:
        """`work(handler, config)`, which may be awaited, with a handler on the history."""
        if self.face == "sync":
            with ChatStore(self.path) as store:
                handler = HistoryCallbackHandler(store.history(CONTEXT), **{"strict": True, **options})
                return work(handler, {"callbacks": [handler]})
        return asyncio.run(self._run(work, options))

    async def _run(self, work: Callable[..., Any], options: Any) -> Any:
        async with AsyncChatStore(self.path) as store:
            handler = AsyncHistoryCallbackHandler(store.history(CONTEXT), **{"strict": True, **options})
            return await work(handler, {"callbacks": [handler]})

    def invoke(self, runnable: Any, given: Any, **options: Any) -> Any:
        """Invokes it."""
        config = options.pop("config", {})
        invoke = runnable.invoke if self.face == "sync" else runnable.ainvoke
        return self.run(lambda _, found: invoke(given, {**found, **config}), **options)

    def stream(self, runnable: Any, given: Any, mode: str | None = "messages", **options: Any) -> list[Any]:
        """Streams it; all that comes out."""
        config = options.pop("config", {})
        more = {} if mode is None else {"stream_mode": mode}

        async def aread(_: Any, found: Any) -> list[Any]:
            return [one async for one in runnable.astream(given, {**found, **config}, **more)]

        def read(_: Any, found: Any) -> list[Any]:
            return [*runnable.stream(given, {**found, **config}, **more)]

        result: list[Any] = self.run(read if self.face == "sync" else aread, **options)
        return result

    def blocks(self, **filters: Any) -> list[Block]:
        with ChatStore(self.path) as store:
            return store.history(CONTEXT).get_messages(**filters)

    def runs(self) -> list[Any]:
        with ChatStore(self.path) as store:
            return store.history(CONTEXT).runs()


def lines(blocks: list[Block]) -> list[tuple[str, str | None, str]]:
    """Type, author and text of each block."""
    return [(block.type, block.author, block.text) for block in blocks]
