"""Streams of model providers, frame by frame, as their servers send them."""

from __future__ import annotations

from typing import Any, Final

Frame = dict[str, Any]
DONE: Final = "[DONE]"


def chunk(delta: Frame | None = None, finish: str | None = None, *, index: int = 0, **more: Any) -> Frame:
    choices = [] if delta is None else [{"index": index, "delta": delta, "finish_reason": finish}]
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-x"}
    return {**head, "choices": choices, **more}


def piece(index: int, arguments: str, id: str | None = None, name: str | None = None) -> Frame:
    """A delta with a piece of a call."""
    function = {"arguments": arguments, **({} if name is None else {"name": name})}
    call = {"index": index, "function": function, **({} if id is None else {"id": id, "type": "function"})}
    return {"tool_calls": [call]}


USAGE = chunk(usage={"prompt_tokens": 10, "completion_tokens": 7, "total_tokens": 17})

CHAT = [
    chunk({"role": "assistant", "content": ""}),
    chunk({"reasoning_content": "hmm"}),
    chunk({"content": "Hel"}),
    chunk({"content": "lo"}),
    chunk(piece(0, "", "call_a", "add")),
    chunk(piece(0, '{"a":2')),
    chunk(piece(1, "", "call_b", "mul")),
    chunk(piece(0, ',"b":3}')),
    chunk(piece(1, '{"a":4,"b":5}')),
    chunk({}, "tool_calls"),
    USAGE,
]


def response(**more: Any) -> Frame:
    whole = {"id": "resp_1", "object": "response", "created_at": 1, "model": "gpt-x", "output": [], "tools": []}
    settings = {"parallel_tool_calls": True, "tool_choice": "auto", "temperature": 1, "top_p": 1, "metadata": {}}
    nothing = {"error": None, "incomplete_details": None, "instructions": None, "usage": None}
    return {**whole, **settings, **nothing, "status": "in_progress", **more}


def numbered(*events: Frame) -> list[Frame]:
    return [{**event, "sequence_number": number} for number, event in enumerate(events)]


def of(index: int, type: str, **more: Any) -> Frame:
    return {"type": f"response.{type}", "output_index": index, **more}


def item(index: int, added: Frame, done: Frame, *between: Frame) -> list[Frame]:
    """The events of an item: what it begins as, what comes, what it is."""
    return [
        of(index, "output_item.added", item={**added, "status": "in_progress"}),
        *({**event, "item_id": added["id"]} for event in between),
        of(index, "output_item.done", item={**added, **done, "status": "completed"}),
    ]


def started() -> list[Frame]:
    return [
        {"type": "response.created", "response": response()},
        {"type": "response.in_progress", "response": response()},
    ]


def ended(events: list[Frame], type: str = "completed", **more: Any) -> Frame:
    """The last event, with all items that were done."""
    output = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    usage = {"input_tokens": 10, "output_tokens": 7, "total_tokens": 17}
    details = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 2}}
    whole = response(output=output, status=type, usage={**usage, **details}, **more)
    return {"type": f"response.{type}", "response": whole}


def text_item(index: int, id: str, *texts: str) -> list[Frame]:
    text = "".join(texts)
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    message = {"id": id, "type": "message", "role": "assistant", "content": []}
    return item(
        index,
        message,
        {"content": [part]},
        of(index, "content_part.added", content_index=0, part={**part, "text": ""}),
        *(of(index, "output_text.delta", content_index=0, delta=one, logprobs=[]) for one in texts),
        of(index, "output_text.done", content_index=0, text=text, logprobs=[]),
        of(index, "content_part.done", content_index=0, part=part),
    )


def call_item(index: int, id: str, call_id: str, name: str, *pieces: str) -> list[Frame]:
    return item(
        index,
        {"id": id, "type": "function_call", "call_id": call_id, "name": name, "arguments": ""},
        {"arguments": "".join(pieces)},
        *(of(index, "function_call_arguments.delta", delta=one) for one in pieces),
        of(index, "function_call_arguments.done", arguments="".join(pieces), name=name),
    )


def reasoning_item(index: int, id: str, *parts: str, **sealed: Any) -> list[Frame]:
    events = []
    for number, text in enumerate(parts):
        events += [
            of(index, "reasoning_summary_part.added", summary_index=number, part={"type": "summary_text", "text": ""}),
            of(index, "reasoning_summary_text.delta", summary_index=number, delta=text),
            of(index, "reasoning_summary_text.done", summary_index=number, text=text),
        ]
    summary = [{"type": "summary_text", "text": text} for text in parts]
    return item(index, {"id": id, "type": "reasoning", "summary": []}, {"summary": summary, **sealed}, *events)


def _responses() -> list[Frame]:
    items = [
        *reasoning_item(0, "rs_1", "think"),
        *text_item(1, "msg_1", "Hel", "lo"),
        *call_item(2, "fc_1", "call_a", "add", '{"a":2', ',"b":3}'),
    ]
    return numbered(*started(), *items, ended(items))


RESPONSES = _responses()


def message_start() -> Frame:
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "content": []}
    more = {"stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 10, "output_tokens": 1}}
    return {"type": "message_start", "message": {**message, **more}}


def content(index: int, block: Frame, *deltas: Frame) -> list[Frame]:
    return [
        {"type": "content_block_start", "index": index, "content_block": block},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def text_content(index: int, *texts: str) -> list[Frame]:
    return content(index, {"type": "text", "text": ""}, *({"type": "text_delta", "text": text} for text in texts))


def tool_content(index: int, id: str, name: str, *pieces: str, type: str = "tool_use") -> list[Frame]:
    deltas = ({"type": "input_json_delta", "partial_json": one} for one in pieces)
    return content(index, {"type": type, "id": id, "name": name, "input": {}}, *deltas)


def thinking_content(index: int, signature: str, *texts: str) -> list[Frame]:
    return content(
        index,
        {"type": "thinking", "thinking": "", "signature": ""},
        *({"type": "thinking_delta", "thinking": text} for text in texts),
        {"type": "signature_delta", "signature": signature},
    )


def message_end(reason: str = "end_turn", **more: Any) -> list[Frame]:
    delta = {"stop_reason": reason, "stop_sequence": None, **more}
    return [{"type": "message_delta", "delta": delta, "usage": {"output_tokens": 21}}, {"type": "message_stop"}]


MESSAGE = [
    message_start(),
    {"type": "ping"},
    *thinking_content(0, "sig", "hmm"),
    *text_content(1, "Hel", "lo"),
    *tool_content(2, "toolu_1", "add", "", '{"a": 2', ', "b": 3}'),
    *message_end("tool_use"),
]
