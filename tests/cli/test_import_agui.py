"""`chatstore import` of traces of AG-UI, our own among them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ag_ui.core import events as real
from ag_ui.encoder import EventEncoder
from typer.testing import Result

from chatstore import Block, ChatStore, History, Part, Tag
from chatstore.encoders.agui import AguiEncoder

Run = Callable[..., Result]
Event = dict[str, Any]


def lines(path: Path, *events: Event) -> Path:
    path.write_text("".join(f"{json.dumps(event)}\n" for event in events))
    return path


def sent(path: Path, *events: Event) -> Path:
    path.write_text(
        "".join(f": ping\nevent: message\nid: {n}\ndata: {json.dumps(e)}\n\n" for n, e in enumerate(events))
    )
    return path


def listed(path: Path, *events: Event) -> Path:
    path.write_text(json.dumps(events, indent=1))
    return path


def started(run: str = "r1", thread: str = "t1", **more: Any) -> Event:
    return {"type": "RUN_STARTED", "threadId": thread, "runId": run, **more}


def finished(run: str = "r1", thread: str = "t1", **more: Any) -> Event:
    return {"type": "RUN_FINISHED", "threadId": thread, "runId": run, **more}


def said(id: str, *pieces: str, role: str = "assistant") -> list[Event]:
    start = {"type": "TEXT_MESSAGE_START", "messageId": id, "role": role}
    grown = [{"type": "TEXT_MESSAGE_CONTENT", "messageId": id, "delta": piece} for piece in pieces]
    return [start, *grown, {"type": "TEXT_MESSAGE_END", "messageId": id}]


CALLED: list[Event] = [
    {"type": "TOOL_CALL_START", "toolCallId": "c1", "toolCallName": "add", "parentMessageId": "m1"},
    {"type": "TOOL_CALL_ARGS", "toolCallId": "c1", "delta": '{"a": 2,'},
    {"type": "TOOL_CALL_ARGS", "toolCallId": "c1", "delta": ' "b": 3}'},
    {"type": "TOOL_CALL_END", "toolCallId": "c1"},
    {"type": "TOOL_CALL_RESULT", "messageId": "m2", "toolCallId": "c1", "content": "5", "role": "tool"},
]
ONE_RUN = [
    started(),
    *said("m0", "2 + 3?", role="user"),
    *said("m1", "I ", "add."),
    *CALLED,
    *said("m3", "5"),
    finished(),
]


def trace(store: ChatStore, context: str = "t1") -> list[Block]:
    return store.history(context).get_messages(kind="trace")


def transcript(history: History) -> list[tuple[Any, ...]]:
    return [
        (block.role, block.author, block.text, [(part.type, part.text, part.url) for part in block.parts], block.run_id)
        for block in history.get_messages(kind="transcript")
    ]


@pytest.mark.parametrize("write", [lines, sent, listed])
def test_a_run_is_read_as_lines_as_it_was_sent_and_as_a_list(
    run: Run, store: ChatStore, tmp_path: Path, write: Callable[..., Path]
) -> None:
    result = run("import", write(tmp_path / "trace", *ONE_RUN))
    assert (result.exit_code, result.stderr) == (0, "")
    blocks = trace(store)
    assert [(block.type, block.role, block.text) for block in blocks] == [
        ("message", "user", "2 + 3?"),
        ("message", "assistant", "I add."),
        ("function_call", "assistant", '{"a": 2, "b": 3}'),
        ("function_result", "tool", "5"),
        ("message", "assistant", "5"),
        ("run_ended", None, ""),
    ]
    assert blocks[2].parent_id == blocks[1].id
    assert blocks[3].parent_id == blocks[2].id
    assert blocks[2].data["arguments"] == {"a": 2, "b": 3}
    assert {block.run_id for block in blocks} == {"r1"}
    assert (blocks[5].internal, blocks[5].data["state"]) == (True, "completed")
    head = store.history("t1").head()
    assert run("import", tmp_path / "trace").exit_code == 0
    assert store.history("t1").head() == head


def test_traces_of_the_real_encoder_are_read(run: Run, store: ChatStore, tmp_path: Path) -> None:
    events = [
        real.RunStartedEvent(thread_id="t1", run_id="r1"),
        real.TextMessageChunkEvent(message_id="m", role="assistant", delta="He"),
        real.TextMessageChunkEvent(delta="llo"),
        real.ToolCallChunkEvent(tool_call_id="c", tool_call_name="f", delta="{}"),
        real.StateSnapshotEvent(snapshot={"step": 1}),
        real.StepStartedEvent(step_name="think"),
        real.RawEvent(event={"any": 1}),
        real.RunErrorEvent(message="no more", code="limit"),
    ]
    (tmp_path / "a.sse").write_text("".join(map(EventEncoder().encode, events)))
    assert run("import", tmp_path / "a.sse").exit_code == 0
    blocks = trace(store)
    ended = blocks[-1]
    assert (ended.type, ended.text, ended.data["state"], ended.data["code"]) == (
        "run_ended",
        "no more",
        "failed",
        "limit",
    )
    assert {(block.type, block.text, block.internal) for block in blocks[:-1]} == {
        ("message", "Hello", False),
        ("function_call", "{}", False),
        ("state_snapshot", "", True),
        ("step_started", "think", True),
        ("raw", "", True),
    }


def test_what_our_own_encoder_writes_comes_back_as_the_same_transcript(
    run: Run, store: ChatStore, tmp_path: Path
) -> None:
    history = store.history("ours")
    history.append_user_message("Look", author="ann", parts=[Part(type="image", url="https://x.org/a.png")])
    with history.run() as going:
        history.append_reasoning("Hm")
        message = history.append_assistant_message("I look.", author="writer")
        call = history.append_function_call("look", {"at": 1}, call_id="c", parent=message)
        history.append_function_result("a pixel", call=call)
        history.append_status_message("Looking")
        with history.run(parent_run_id=going.id), history.open_message(author="helper", role="assistant") as open:
            open.write("piece by ")
            open.write("piece")
        done = history.append_assistant_message("One pixel")
    history.tag(done, Tag(kind="answer", name="final"))
    with history.run(), history.open_message(role="assistant") as late:
        late.write("goes on ")
        history.append_user_message("Meanwhile")
        late.write("to the end")
    encoder = AguiEncoder("copied")
    events = [one.event for change in history.subscribe(follow=False) for one in encoder.encode(change)]
    result = run("import", lines(tmp_path / "ours.jsonl", *events))
    assert (result.exit_code, result.stderr.replace(str(tmp_path), "")) == (0, "")
    copied = store.history("copied")
    assert transcript(copied) == transcript(history)
    ours, theirs = history.get_messages(kind="trace"), [block for block in trace(store, "copied") if not block.internal]
    for one, other in zip(ours, theirs, strict=True):
        assert (one.type, one.role, one.text, one.author) == (other.type, other.role, other.text, other.author)
    assert theirs[3].data["call_id"] == "c"
    assert [tag.name for block in theirs for tag in block.tags] == ["final"]


def test_what_goes_on_over_the_end_of_a_run_is_one_message(run: Run, store: ChatStore, tmp_path: Path) -> None:
    history, encoder, events, cursor = store.history("ours"), AguiEncoder("copied"), [], None

    def tell() -> None:
        nonlocal cursor
        for change in history.subscribe(after=cursor, follow=False):
            cursor = change.cursor
            events.extend(one.event for one in encoder.encode(change))

    with history.open_message(role="assistant", author="slow") as slow:
        for number in range(3):
            with history.run():
                slow.write(f"{number} ")
                slow.flush()
                history.append_assistant_message(f"quick {number}")
                tell()
            tell()
    tell()
    assert len([event for event in events if event["type"] == "TEXT_MESSAGE_START"]) > 4
    result = run("import", lines(tmp_path / "ours.jsonl", *events))
    assert (result.exit_code, result.stderr) == (0, "")
    assert transcript(store.history("copied")) == transcript(history)


def test_who_joined_in_the_middle_gets_the_same(run: Run, store: ChatStore, tmp_path: Path) -> None:
    history = store.history("ours")
    history.append_user_message("Go")
    with history.run(), history.open_message(role="assistant") as block:
        block.write("so far")
        block.flush()
        head = history.head()
        encoder = AguiEncoder("copied")
        blocks = history.get_messages(kind="trace")
        events = [one.event for one in encoder.join(blocks, [history.get_run(str(blocks[1].run_id))], head)]
        block.write(" and on")
    events += [one.event for change in history.subscribe(after=head, follow=False) for one in encoder.encode(change)]
    result = run("import", lines(tmp_path / "ours.jsonl", *events))
    assert (result.exit_code, result.stderr.replace(str(tmp_path), "")) == (0, "")
    assert transcript(store.history("copied")) == transcript(history)


def test_a_trace_that_ends_in_the_middle_keeps_what_came_and_is_marked(
    run: Run, store: ChatStore, tmp_path: Path
) -> None:
    file = lines(tmp_path / "cut.jsonl", *ONE_RUN[:6])
    file.write_text(file.read_text() + '{"type": "TEXT_MESS')
    result = run("import", file)
    assert result.exit_code == 1
    assert "cut.jsonl:7: refused: not JSON" in result.stderr
    blocks = trace(store)
    assert [(block.text, [tag.name for tag in block.tags]) for block in blocks] == [
        ("2 + 3?", []),
        ("I ", ["truncated"]),
        ("", ["truncated"]),
    ]
    assert blocks[-1].data["state"] == "interrupted"


def test_runs_of_a_thread_in_several_traces_are_one_conversation(run: Run, store: ChatStore, tmp_path: Path) -> None:
    first = lines(tmp_path / "1.jsonl", *ONE_RUN)
    messages = [
        {"id": "m0", "role": "user", "content": "2 + 3?"},
        {
            "id": "m1",
            "role": "assistant",
            "content": "I add.",
            "toolCalls": [
                {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 2, "b": 3}'}}
            ],
        },
        {"id": "other id", "role": "tool", "toolCallId": "c1", "content": "5"},
        {"id": "m3", "role": "assistant", "content": "5"},
        {"id": "m4", "role": "user", "content": "And 7?"},
    ]
    snapshot = {"type": "MESSAGES_SNAPSHOT", "messages": messages}
    second = lines(tmp_path / "2.jsonl", started("r2"), snapshot, *said("m5", "12"), finished("r2"))
    result = run("import", first, second)
    assert (result.exit_code, result.stderr) == (0, "")
    assert [block[2] for block in transcript(store.history("t1"))] == ["2 + 3?", "I add.", "5", "And 7?", "12"]
    assert run("import", second, first).exit_code == 0
    assert len(transcript(store.history("t1"))) == 5


def test_thoughts_activities_and_what_is_of_nobodys_format_are_kept(run: Run, store: ChatStore, tmp_path: Path) -> None:
    patch = [{"op": "replace", "path": "/text", "value": "half"}, {"op": "add", "path": "/steps/-", "value": 2}]
    events = [
        started(
            input={"threadId": "t1", "messages": [{"id": "u", "role": "user", "content": "Hi"}], "state": {"a": 1}}
        ),
        {"type": "REASONING_START", "messageId": "th"},
        {"type": "REASONING_MESSAGE_START", "messageId": "th", "role": "reasoning"},
        {"type": "REASONING_MESSAGE_CONTENT", "messageId": "th", "delta": "new"},
        {"type": "REASONING_MESSAGE_END", "messageId": "th"},
        {"type": "REASONING_ENCRYPTED_VALUE", "subtype": "message", "entityId": "th", "encryptedValue": "xyz"},
        {"type": "THINKING_START"},
        {"type": "THINKING_TEXT_MESSAGE_START"},
        {"type": "THINKING_TEXT_MESSAGE_CONTENT", "delta": "old"},
        {"type": "THINKING_TEXT_MESSAGE_END"},
        {"type": "ACTIVITY_SNAPSHOT", "messageId": "a", "activityType": "PLAN", "content": {"text": "x", "steps": [1]}},
        {"type": "ACTIVITY_DELTA", "messageId": "a", "activityType": "PLAN", "patch": patch},
        {"type": "CUSTOM", "name": "mine", "value": 1},
        {"type": "FROM_THE_FUTURE", "answer": 42},
        finished(outcome={"type": "cancelled"}),
    ]
    assert run("import", lines(tmp_path / "a.jsonl", *events)).exit_code == 0
    blocks = {block.type: block for block in trace(store)}
    assert [block.text for block in trace(store) if block.type == "reasoning"] == ["new", "old"]
    assert (blocks["plan"].text, blocks["plan"].data["content"]["steps"]) == ("half", [1, 2])
    assert blocks["run_started"].data["input"] == {"threadId": "t1", "state": {"a": 1}}
    assert blocks["from_the_future"].data["event"]["answer"] == 42
    assert blocks["run_ended"].data["state"] == "cancelled"
    assert blocks["message"].text == "Hi"
    thought = next(block for block in trace(store) if block.type == "reasoning")
    assert thought.data["encrypted_value"] == "xyz"


def test_what_is_stored_cut_off_is_told_when_the_trace_has_grown(run: Run, store: ChatStore, tmp_path: Path) -> None:
    file = lines(tmp_path / "a.jsonl", *ONE_RUN, started("r2"), *said("m9", "cut ", "off")[:2])
    for _ in range(2):
        assert run("import", file).exit_code == 0
    lines(file, *ONE_RUN, started("r2"), *said("m9", "cut ", "off"), *said("m10", "new"), finished("r2"))
    for _ in range(2):
        result = run("import", file)
        assert (result.exit_code, result.stderr.count("holds it cut off"), "2 refused" in result.stdout) == (1, 2, True)
    told = [(block.type, block.text) for block in trace(store) if block.run_id == "r2"]
    assert told == [("message", "cut "), ("run_ended", ""), ("message", "new")]
    assert run("import", file, "--prefix", "whole/").exit_code == 0
    assert [block[2] for block in transcript(store.history("whole/t1"))][-2:] == ["cut off", "new"]


def test_a_file_without_any_event_of_agui_is_refused(run: Run, store: ChatStore, tmp_path: Path) -> None:
    file = lines(tmp_path / "a.jsonl", {"type": "user", "message": "Hi"}, {"type": "FROM_THE_FUTURE"})
    result = run("import", file, "--format", "agui")
    assert (result.exit_code, store.contexts()) == (1, [])
    assert "a.jsonl:1: refused: no event of AG-UI has the type 'user'" in result.stderr
