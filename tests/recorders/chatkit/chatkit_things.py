"""Items of every type that ChatKit has, a server of it that answers by a script, and what its page would ask."""

from __future__ import annotations

import json
import warnings
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from chatkit import types, widgets
from chatkit.server import ChatKitServer, StreamingResult
from pydantic import TypeAdapter

AT = datetime(2026, 1, 2, 3, 4, 5, 678901)
ZONES = [AT, AT.replace(tzinfo=UTC), AT.replace(tzinfo=timezone(timedelta(hours=2)))]
IMAGE = types.ImageAttachment(
    id="atc_1",
    name="a.png",
    mime_type="image/png",
    preview_url="https://files.invalid/a.png",
    upload_descriptor={"url": "https://files.invalid/up", "method": "PUT", "headers": {"x": "y"}},
    metadata={"kept": [1, {"a": None}]},
)
FILE = types.FileAttachment(id="atc_2", name="b.pdf", mime_type="application/pdf", metadata={"size": 3})


@dataclass(frozen=True)
class Asking:
    """A request's context: who asks."""

    user: str = "u1"


def metadata(id: str = "thr_1", **fields: Any) -> types.ThreadMetadata:
    return types.ThreadMetadata(id=id, created_at=AT, **fields)


def said(id: str, text: str = "Hello", **fields: Any) -> types.UserMessageItem:
    content = [types.UserMessageTextContent(text=text)]
    base = {"id": id, "thread_id": "thr_1", "created_at": AT, "inference_options": types.InferenceOptions()}
    return types.UserMessageItem(content=content, **{**base, **fields})


def answered(id: str, text: str = "Hi", **fields: Any) -> types.AssistantMessageItem:
    content = [types.AssistantMessageContent(text=text)]
    return types.AssistantMessageItem(id=id, thread_id="thr_1", created_at=AT, content=content, **fields)


def call(id: str = "tc_1", **fields: Any) -> types.ClientToolCallItem:
    given = {"call_id": "call_1", "name": "get_weather", "arguments": {"city": "Paris"}}
    return types.ClientToolCallItem(id=id, thread_id="thr_1", created_at=AT, **given, **fields)


def every() -> list[Any]:
    """One of every type."""
    base: dict[str, Any] = {"thread_id": "thr_1", "created_at": AT}
    source = types.URLSource(title="T", url="https://a.invalid", attribution="me")
    entity = types.EntitySource(title="E", id="e1", data={"k": "v"})
    noted = [types.Annotation(source=source, index=1), types.Annotation(source=entity)]
    tag = types.UserMessageTagContent(id="t", text="@x", data={"deep": [1.5]}, group="g", interactive=True)
    chosen = types.InferenceOptions(model="m", tool_choice=types.ToolChoice(id="search"))
    thought = types.ThoughtTask(title="Think", content="It may rain.")
    search = types.SearchTask(title="Search", queries=["q"], sources=[source], status_indicator="complete")
    question = types.StructuredInputMultipleChoice(
        id="s1",
        question="Which?",
        options=[types.StructuredInputMultipleChoiceOption(value="a")],
        answer=types.StructuredInputAnswer(values=["a"]),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # there are others, made of templates
        card = widgets.Card(
            children=[widgets.Text(value="18 °C", id="x"), widgets.Markdown(value="**b**"), widgets.Button(label="OK")]
        )
        rows = widgets.ListView(children=[widgets.ListViewItem(children=[])])
    return [
        said("msg_1", attachments=[IMAGE, FILE], quoted_text="quoted", inference_options=chosen).model_copy(
            update={"content": [types.UserMessageTextContent(text="See "), tag]}
        ),
        types.AssistantMessageItem(
            id="msg_2",
            content=[
                types.AssistantMessageContent(text="One", annotations=noted),
                types.AssistantMessageContent(text="Two"),
            ],
            **base,
        ),
        call(),
        call("tc_2", status="completed", output={"t": [18, None]}),
        types.WidgetItem(id="w_1", widget=card, copy_text="18 °C", **base),
        types.WidgetItem(id="w_2", widget=rows, **base),
        types.GeneratedImageItem(id="gi_1", image=types.GeneratedImage(id="i", url="https://a.invalid/i.png"), **base),
        types.GeneratedImageItem(id="gi_2", **base),
        types.StructuredInputItem(id="si_1", inputs=[question], status="answered", **base),
        types.TaskItem(id="tsk_1", task=types.CustomTask(title="Work", content="on it"), **base),
        types.WorkflowItem(
            id="wf_1",
            workflow=types.Workflow(
                type="reasoning", tasks=[thought, search], summary=types.DurationSummary(duration=3)
            ),
            **base,
        ),
        types.WorkflowItem(
            id="wf_2",
            workflow=types.Workflow(type="custom", tasks=[search], summary=types.CustomSummary(title="S")),
            **base,
        ),
        types.HiddenContextItem(id="hc_1", content={"any": [1, None, "é"]}, **base),
        types.SDKHiddenContextItem(id="shcx_1", content="hidden", **base),
        types.EndOfTurnItem(id="eot_1", **base),
        *(answered(f"msg_{place + 10}").model_copy(update={"created_at": at}) for place, at in enumerate(ZONES)),
    ]


class ScriptedServer(ChatKitServer[Asking]):
    """Answers with what it is given: events, or exceptions that it raises."""

    def __init__(self, store: Any, script: list[Any], attachment_store: Any = None) -> None:
        super().__init__(store, attachment_store)
        self.script = script

    async def respond(self, thread: Any, input_user_message: Any, context: Asking) -> AsyncIterator[Any]:
        """Yields the script."""
        for one in self.script:
            event = one(thread) if callable(one) else one
            if isinstance(event, BaseException):
                raise event
            if event is not None:
                yield event


async def ask(server: ChatKitServer[Asking], type: str, asking: Asking, **params: Any) -> list[dict[str, Any]]:
    """What the server answers to a request of its page: its events, or its one answer."""
    result = await server.process(json.dumps({"type": type, "params": params}), asking)
    if isinstance(result, StreamingResult):
        return [json.loads(chunk.removeprefix(b"data: ")) async for chunk in result]
    return [json.loads(result.json)]


def typed(text: str, **fields: Any) -> dict[str, Any]:
    """What a person types."""
    return {"content": [{"type": "input_text", "text": text}], "attachments": [], "inference_options": {}, **fields}


ITEM: TypeAdapter[Any] = TypeAdapter(types.ThreadItem)
