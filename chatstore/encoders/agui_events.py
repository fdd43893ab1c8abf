"""Blocks as AG-UI events and messages. The forms are those of AG-UI 1.0 (docs.ag-ui.com, npm @ag-ui/core).

Optional fields that have no value are left out: its clients refuse a null.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from chatstore.encoders.shown import (
    Calls,
    Event,
    PartUrl,
    content,
    failure,
    field,
    function_name,
    is_error,
    shape_of,
    token_counts,
)
from chatstore.model import Block, JsonValue, Part, Run

PROTOCOL = "1.0"
BLOCK = "chatstore.block"
"""The key in a message's metadata of what is ours about its block. Clients merge metadata by its outermost keys, so
that the cursor, which comes with each event, has another."""

_LONGEST = 1_000_000
"""Characters of text in an event, or in a snapshot: @ag-ui/client takes events of at most 10 MB."""
_ENVELOPE = 500
_MEDIA = {"image": "image", "audio": "audio", "file": "document"}
_USAGE = {"input": "inputTokens", "output": "outputTokens", "total": "totalTokens", "reasoning": "reasoningTokens"}


def event(type: str, **fields: JsonValue) -> Event:
    """An event with the fields that have a value."""
    return {"type": type, **{name: value for name, value in fields.items() if value is not None}}


def run_started(thread_id: str, run_id: str, parent_run_id: str | None = None) -> Event:
    """The begin of a run, or of what stands for one."""
    fields = {"threadId": thread_id, "runId": run_id, "parentRunId": parent_run_id}
    return event("RUN_STARTED", **fields, protocolVersion=PROTOCOL)


def run_finished(thread_id: str, run_id: str, outcome: str = "success", usage: JsonValue = None) -> Event:
    """The end of a run that did not fail."""
    fields = {"threadId": thread_id, "runId": run_id, "outcome": {"type": outcome}}
    return event("RUN_FINISHED", **fields, usage=_usage(usage))


def run_error(message: str, code: str, usage: JsonValue = None) -> Event:
    """The end of a run that failed, or was broken off."""
    return event("RUN_ERROR", message=message, code=code, usage=_usage(usage))


def run_ended(thread_id: str, run: Run) -> Event:
    """The end of a run, in the way it ended."""
    if run.state in ("failed", "interrupted"):
        return run_error(failure(run), run.state, run.usage)
    return run_finished(thread_id, run.id, "cancelled" if run.state == "cancelled" else "success", run.usage)


def begun(block: Block, parent: str | None = None, subagent: str | None = None) -> list[Event]:
    """A block that begins. `parent` is the message that a call belongs to.

    A call without one makes a message of its own: TanStack's client would else put it into any that is open.
    """
    tag = {"subagentRunId": subagent, "metadata": _note(block)}
    match shape_of(block):
        case "text":
            return [event("TEXT_MESSAGE_START", messageId=block.id, role=block.role, name=block.author, **tag)]
        case "reasoning":
            start = event("REASONING_START", messageId=block.id, **tag)
            return [start, event("REASONING_MESSAGE_START", messageId=block.id, role="reasoning", **tag)]
        case "call":
            name = function_name(block)
            call = {"toolCallId": block.id, "toolCallName": name, "parentMessageId": parent or block.id}
            return [event("TOOL_CALL_START", **call, **tag)]
        case "other":
            return [activity(block, block.text, subagent)]
        case _:
            return []


def grown(block: Block, piece: str, text: str) -> list[Event]:
    """A block that goes on with a piece, after which its text is `text`; that is looked at for activities alone.

    What a finished block still has to say is cut where it is longer than an event may be. Of one that grows it is not:
    who comes back in the middle may be told it otherwise, and the ids count the events of a change.
    """
    if block.state != "open" and len(piece) > _LONGEST:
        cuts = range(0, len(piece), _LONGEST)
        return [event for at in cuts for event in grown(block, piece[at : at + _LONGEST], text)]
    match shape_of(block):
        case "text":
            return [event("TEXT_MESSAGE_CONTENT", messageId=block.id, delta=piece)]
        case "reasoning":
            return [event("REASONING_MESSAGE_CONTENT", messageId=block.id, delta=piece)]
        case "call":
            return [event("TOOL_CALL_ARGS", toolCallId=block.id, delta=piece)]
        case "other":
            patch = [{"op": "add", "path": "/text", "value": text}]
            return [event("ACTIVITY_DELTA", messageId=block.id, activityType=block.type, patch=patch)]
        case _:
            return []


def ended(block: Block) -> list[Event]:
    """What was open of a block comes to its end."""
    note = None if block.state in ("open", "closed") else {"chatstore.state": block.state}
    match shape_of(block):
        case "text":
            return [event("TEXT_MESSAGE_END", messageId=block.id, metadata=note)]
        case "reasoning":
            end = event("REASONING_MESSAGE_END", messageId=block.id, metadata=note)
            return [end, event("REASONING_END", messageId=block.id)]
        case "call":
            return [event("TOOL_CALL_END", toolCallId=block.id, metadata=note)]
        case _:
            return []


def activity(block: Block, text: str, subagent: str | None = None) -> Event:
    """A status, an error or a block of one's own type, as it is now."""
    fields = {"messageId": block.id, "activityType": block.type, "content": content(block, text)}
    return event("ACTIVITY_SNAPSHOT", **fields, subagentRunId=subagent, metadata=_note(block))


def result(block: Block, call: str | None, subagent: str | None = None) -> Event:
    """A function's result, once it is whole."""
    note = _note(block)
    if is_error(block):
        note[BLOCK]["is_error"] = True
    fields = {"messageId": block.id, "toolCallId": call or _unknown_call(block), "content": block.text, "role": "tool"}
    return event("TOOL_CALL_RESULT", **fields, subagentRunId=subagent, metadata=note)


def marked(block: Block) -> Event:
    """What was put on a block later: its tags and usage."""
    tags = [tag.model_dump(mode="json") for tag in block.tags]
    return event("CUSTOM", name="chatstore.block", value={"id": block.id, "tags": tags, "usage": block.usage})


def run_marked(run: Run) -> Event:
    """How a run stands beside the one that is told."""
    return event("CUSTOM", name="chatstore.run", value=run.model_dump(mode="json"))


def in_one_snapshot(blocks: Sequence[Block]) -> tuple[Sequence[Block], Sequence[Block]]:
    """The blocks that a snapshot has room for, and those that have to be told one by one behind it."""
    size = 0
    for place, block in enumerate(blocks):
        size += _ENVELOPE + len(block.text) + (len(str(block.data)) if shape_of(block) == "other" else 0)
        if size > _LONGEST:
            return blocks[:place], blocks[place:]
    return blocks, ()


def snapshot(blocks: Iterable[Block], part_url: PartUrl) -> Event:
    """The messages so far.

    One that still grows has its place, and no text: that follows behind its start. @ag-ui/client would also take the
    text here and the rest there; @tanstack/ai-client then forgets what was here.
    """
    calls = Calls()
    messages: dict[str, Event] = {}
    for block in blocks:
        calls.add(block)
        above = messages.get(block.parent_id or "", {})
        if shape_of(block) == "call" and above.get("role") == "assistant" and _run(above) == block.run_id:
            above.setdefault("toolCalls", []).append(_call(block))
        elif shape_of(block) != "result" or block.state != "open":
            messages[block.id] = {"id": block.id, "metadata": _note(block), **_message(block, calls, part_url)}
    return event("MESSAGES_SNAPSHOT", messages=[*messages.values()])


def _message(block: Block, calls: Calls, part_url: PartUrl) -> Event:
    text = "" if block.state == "open" else block.text
    match shape_of(block):
        case "text":
            said = _parts(block, part_url) if block.role == "user" and block.parts else text
            named = {} if block.author is None else {"name": block.author}
            return {"role": block.role, "content": said, **named}
        case "reasoning":
            return {"role": "reasoning", "content": text}
        case "call":
            return {"role": "assistant", "toolCalls": [_call(block)]}
        case "result":
            return _tool_message(block, calls)
        case _:
            return {"role": "activity", "activityType": block.type, "content": content(block, block.text)}


def _call(block: Block) -> Event:
    arguments = "" if block.state == "open" else block.text
    return {"id": block.id, "type": "function", "function": {"name": function_name(block), "arguments": arguments}}


def _run(message: Event) -> JsonValue:
    return message["metadata"][BLOCK].get("run_id")


def _tool_message(block: Block, calls: Calls) -> Event:
    call = calls.answered_by(block) or _unknown_call(block)
    error = {"error": block.text or block.state} if is_error(block) else {}
    return {"role": "tool", "toolCallId": call, "content": block.text, **error}


def _unknown_call(block: Block) -> str:
    return block.parent_id or field(block, "call_id") or block.id


def _parts(block: Block, part_url: PartUrl) -> list[Event]:
    found = [{"type": "text", "text": block.text}] if block.text else []
    return [*found, *(shown for part in block.parts if (shown := _part(block, part, part_url)) is not None)]


def _part(block: Block, part: Part, part_url: PartUrl) -> Event | None:
    if part.text is not None:
        return {"type": "text", "text": part.text}
    url = part_url(block, part)
    if url is None:
        return None
    return {"type": _MEDIA[part.type], "source": event("url", value=url, mimeType=part.mime_type)}


def _note(block: Block) -> dict[str, dict[str, JsonValue]]:
    given = {"index": block.index, "author": block.author, "run_id": block.run_id, "call_id": field(block, "call_id")}
    parts = [part.model_dump(mode="json", exclude_none=True) for part in block.parts]
    note = {key: value for key, value in given.items() if value is not None}
    return {BLOCK: {**note, **({"parts": parts} if parts else {})}}


def _usage(usage: JsonValue) -> JsonValue:
    counts = token_counts(usage)
    found = {name: counts[count] for count, name in _USAGE.items() if count in counts}
    return [found] if found else None
