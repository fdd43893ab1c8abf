"""From the items of ChatKit's threads to blocks."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from chatstore.model import Block, BlockDraft, Part, Tag

ITEM: Final = "chatkit_item"
"""Where a block's data has the item, and the kind of the tag that finds all of its versions by its id."""
PRIMARY: Final = Tag(kind="chatkit", name="item")
"""On the block that an item came with, whose place is the item's."""
CHANGED: Final = ("chatkit", "changed")
"""A tag of that block: there is a later version."""
REMOVED: Final = ("chatkit", "removed")
"""A tag of that block, whose value says whether the item is removed."""

Json = Mapping[str, Any]


def first_version(item: Json) -> BlockDraft:
    """The block that an item comes with."""
    made = _BLOCKS.get(item["type"], _other)(item)
    return _draft(made, item, [PRIMARY])


def outcome(item: Json) -> BlockDraft | None:
    """The result of a call of a client's tool, where it has one."""
    if item["type"] != "client_tool_call" or item.get("status") != "completed":
        return None
    output = item.get("output")
    text = output if isinstance(output, str) else json.dumps(output, ensure_ascii=False)
    data = {"call_id": item["call_id"], "name": item["name"], "is_error": False}
    return BlockDraft(type="function_result", role="tool", text=text, data=data)


def later_version(item: Json, first: Block, *, has_result: bool) -> BlockDraft:
    """The block of an item that was replaced, below the first: a call that has its output now is a result. A call is
    made once, and has one result: what is said of it beside that is a status."""
    result = outcome(item)
    if result is not None and not has_result:
        draft = result.model_copy(update={"data": {**result.data, ITEM: item}, "tags": [_named(item)]})
    elif item["type"] == "client_tool_call":
        draft = _draft({"type": "status", "internal": True}, item, [])
    else:
        draft = _draft(_BLOCKS.get(item["type"], _other)(item), item, [])
    return draft.model_copy(update={"parent": first})


def is_removed(block: Block) -> bool:
    """Whether the item that came with this block is removed."""
    return any(tag.value for tag in block.tags if (tag.kind, tag.name) == REMOVED)


def is_there(block: Block) -> bool:
    """Whether an item came with this block, and was not removed."""
    return PRIMARY in block.tags and not is_removed(block)


def is_changed(block: Block) -> bool:
    """Whether the item that came with this block has a later version."""
    return any((tag.kind, tag.name) == CHANGED for tag in block.tags)


def _draft(made: dict[str, Any], item: Json, tags: list[Tag]) -> BlockDraft:
    data = {**made.get("data", {}), ITEM: item}
    return BlockDraft(**{**made, "data": data, "tags": [*tags, _named(item)]})


def _named(item: Json) -> Tag:
    return Tag(kind=ITEM, name=item["id"])


def _user_message(item: Json) -> dict[str, Any]:
    text = "".join(str(one.get("text") or "") for one in item["content"])
    parts = [
        Part(type="image", url=one["preview_url"], name=one["name"], mime_type=one["mime_type"])
        for one in item.get("attachments") or ()
        if one.get("preview_url")
    ]
    return {"type": "message", "role": "user", "text": text, "parts": parts}


def _assistant_message(item: Json) -> dict[str, Any]:
    text = "\n\n".join(str(one.get("text") or "") for one in item["content"])
    return {"type": "message", "role": "assistant", "text": text}


def _call(item: Json) -> dict[str, Any]:
    data = {"name": item["name"], "arguments": item["arguments"], "call_id": item["call_id"]}
    text = json.dumps(item["arguments"], ensure_ascii=False)
    return {"type": "function_call", "role": "assistant", "text": text, "data": data}


def _hidden(item: Json) -> dict[str, Any]:
    """What the model is told and the person is not."""
    content = item["content"]
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    return {"type": "message", "role": "developer", "text": text, "internal": True}


def _widget(item: Json) -> dict[str, Any]:
    return {"type": "widget", "role": "assistant", "text": item.get("copy_text") or ""}


def _image(item: Json) -> dict[str, Any]:
    url = (item.get("image") or {}).get("url")
    return {"type": "image", "role": "assistant", "parts": [Part(type="image", url=url)] if url else []}


def _question(item: Json) -> dict[str, Any]:
    text = "\n".join(str(one.get("question") or "") for one in item["inputs"])
    return {"type": "input_request", "role": "assistant", "text": text}


def _task(item: Json) -> dict[str, Any]:
    return {"type": "task", "role": "assistant", "text": _title(item["task"])}


def _workflow(item: Json) -> dict[str, Any]:
    """What a model thinks is a workflow too."""
    workflow = item["workflow"]
    text = "\n".join(filter(None, map(_title, workflow["tasks"])))
    thought = workflow["type"] == "reasoning"
    return {"type": "reasoning" if thought else "workflow", "role": "assistant", "text": text}


def _title(task: Json) -> str:
    return str(task.get("content") or task.get("title") or "")


def _other(item: Json) -> dict[str, Any]:
    return {"type": "status", "text": str(item["type"]), "internal": True}


_BLOCKS: Final[dict[str, Callable[[Json], dict[str, Any]]]] = {
    "user_message": _user_message,
    "assistant_message": _assistant_message,
    "client_tool_call": _call,
    "hidden_context_item": _hidden,
    "sdk_hidden_context": _hidden,
    "widget": _widget,
    "generated_image": _image,
    "structured_input": _question,
    "task": _task,
    "workflow": _workflow,
}
