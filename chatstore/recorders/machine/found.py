"""Which framework made a stream, by its first event."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from importlib import import_module
from typing import Any, Final, TypeVar, Unpack, overload
from weakref import ref

from chatstore.async_history import AsyncHistory
from chatstore.errors import InvalidInput
from chatstore.history import History
from chatstore.model import JsonValue
from chatstore.recorders.machine.async_recording import AsyncRecording
from chatstore.recorders.machine.options import RecordOptions
from chatstore.recorders.machine.recording import Recording
from chatstore.recorders.machine.script import Script, Step
from chatstore.recorders.machine.start import start

E = TypeVar("E")

# The beginnings of the names of the modules that classes of events are in, and where their scripts are.
_MADE_BY: Final = {
    "openai.types.responses": "openai_responses:ResponsesScript",
    "openai.lib.streaming.responses": "openai_responses:ResponsesScript",
    "openai.types.chat": "openai_chat:ChatScript",
    "openai.lib.streaming.chat": "openai_chat:ChatScript",
    "anthropic": "anthropic:MessageScript",
    "smolagents": "smolagents.script:SmolagentsScript",
    "autogen_agentchat": "autogen.script:AutogenScript",
    "agents.stream_events": "openai_agents.script:AgentsScript",
    "pydantic_ai": "pydantic_ai.script:PydanticAiScript",
    "google.adk": "google_adk.script:AdkScript",
    "chatstore.recorders.google_adk.script": "google_adk.script:AdkScript",
    "chatstore.recorders.pydantic_ai.script": "pydantic_ai.script:PydanticAiScript",
}
_RESULT: Final = "RunResultStreaming"
"""What a run of OpenAI's Agents SDK gives, which its events know less than."""
_WHOLE: Final = "RunResult"
"""What it gives where it does not stream."""


@overload
def record(source: Iterable[E], history: History, **options: Unpack[RecordOptions]) -> Recording[E]: ...
@overload
def record(source: AsyncIterable[E], history: AsyncHistory, **options: Unpack[RecordOptions]) -> AsyncRecording[E]: ...
def record(source: Any, history: Any, **options: Unpack[RecordOptions]) -> Any:
    """Records the events of a stream, which come out unchanged: the life of one request, as one run of the history.

    `source` is what a framework gives to read: a stream of the OpenAI or the Anthropic client, an agent's run. One
    that is read with `for` goes into a history of a ChatStore, one that is read with `async for` into one of an
    AsyncChatStore. For the options see `RecordOptions`; for how a run ends, `Recording`.

    Raises UsageError or InvalidInput at once for what cannot be recorded. What goes wrong later is logged, and raised
    only with `strict=True`.
    """
    if type(source).__name__ in (_RESULT, _WHOLE) or getattr(source, "__qualname__", "") == f"{_RESULT}.stream_events":
        return import_module("chatstore.recorders.openai_agents").record(source, history, **options)
    return start(FoundScript(), source, history, options)


class FoundScript(Script[Any]):
    """The script for the class of the first event."""

    def __init__(self) -> None:
        self._found: Script[Any] | None = None
        self._prompt: str | None = None
        self._writer: Callable[[], Any] = lambda: None

    def meet(self, writer: Any) -> None:
        """For the script that is found."""
        # Weakly: a circle would keep a recording that was dropped from being closed at once.
        self._writer = ref(writer)

    def asked(self, prompt: str) -> Iterable[Step]:
        """As every script has it; which one this is, is not known yet."""
        self._prompt = prompt
        return super().asked(prompt)

    def read(self, event: Any) -> Iterable[Step]:
        """As the script reads it that knows such events."""
        if self._found is None:
            self._found = _script_for(event)
            self._found.meet(self._writer())
            if self._prompt is not None:
                self._found.asked(self._prompt)  # it is stored, and may come once more
        return self._found.read(event)

    def finish(self) -> Iterable[Step]:
        """As that script does."""
        return () if self._found is None else self._found.finish()

    def spent(self) -> Mapping[str, JsonValue] | None:
        """As that script knows it."""
        return None if self._found is None else self._found.spent()

    def told(self, error: Exception) -> Exception:
        """As that script tells it."""
        return error if self._found is None else self._found.told(error)

    @property
    def has_end(self) -> bool:  # type: ignore[override]
        """As that script says."""
        return self._found is None or self._found.has_end

    @property
    def complete(self) -> bool:  # type: ignore[override]
        """As that script says."""
        return self._found is not None and self._found.complete

    @property
    def stopped(self) -> bool:  # type: ignore[override]
        """As that script says."""
        return self._found is not None and self._found.stopped

    @property
    def error(self) -> str | None:  # type: ignore[override]
        """As that script says."""
        return None if self._found is None else self._found.error


def _script_for(event: Any) -> Script[Any]:
    module = type(event).__module__
    for beginning, place in _MADE_BY.items():
        if module == beginning or module.startswith(f"{beginning}."):
            file, name = place.split(":")
            script: Script[Any] = getattr(import_module(f"chatstore.recorders.{file}"), name)()
            return script
    if isinstance(event, tuple) or module.startswith("langchain"):
        raise InvalidInput(
            f"no recorder is known for events like {type(event).__name__} of {module}; LangChain and LangGraph are"
            " recorded by a handler among their callbacks: HistoryCallbackHandler of chatstore.recorders.langchain"
        )
    raise InvalidInput(
        f"no recorder is known for events like {type(event).__name__} of {module}; frameworks with plain events, and"
        " packages that speak as another, are recorded by the record() of a module of chatstore.recorders"
    )
