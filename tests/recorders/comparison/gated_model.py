"""A chat model for LangChain that says the tokens, and half-way waits until it is to go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

from comparing import ANSWER, PARTIAL, TOKENS
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import Field


def _chunk(token: str) -> ChatGenerationChunk:
    return ChatGenerationChunk(message=AIMessageChunk(content=token, id="answer"))


class Gated(BaseChatModel):
    """Waits in an event loop alone."""

    go_on: Any = Field(default_factory=asyncio.Event)

    @property
    def _llm_type(self) -> str:
        return "gated"

    def _generate(self, *args: Any, **options: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=AIMessage(ANSWER, id="answer"))])

    def _stream(self, *args: Any, **options: Any) -> Iterator[ChatGenerationChunk]:
        yield from map(_chunk, TOKENS)

    async def _astream(self, *args: Any, **options: Any) -> AsyncIterator[ChatGenerationChunk]:
        for number, token in enumerate(TOKENS):
            yield _chunk(token)
            if "".join(TOKENS[: number + 1]) == PARTIAL:
                await self.go_on.wait()
