"""What the encoders promise, one thing at a time."""

from __future__ import annotations

from contextvars import copy_context
from itertools import pairwise
from typing import Any

import pytest
from folding import AguiFold

from chatstore import ChatStore, History, InvalidCursor, Part, Tag
from chatstore.encoders import AguiEncoder, AiSdkEncoder, context_message, place_of, ui_messages
from chatstore.encoders.durable_streams import START, after_of, control, stream_cursor


@pytest.fixture
def history(store: ChatStore) -> History:
    return store.history("c")


def agui(history: History, **options: Any) -> list[dict[str, Any]]:
    encoder = AguiEncoder("c", **options)
    events = [event for change in history.subscribe(follow=False) for event in encoder.encode(change)]
    fold = AguiFold()
    for event in events:
        fold.take(*event)
    return [event.event for event in events]


def types(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in events]


def test_blocks_outside_of_any_run_make_runs_of_their_own_that_end_at_once(history: History) -> None:
    history.append_user_message("Hello")
    with history.open_message() as answer:
        answer.write("Hi")
    events = agui(history)
    ended = ["RUN_STARTED", "TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_END", "RUN_FINISHED"]
    assert types(events) == ended * 2
    assert all(event["runId"].startswith("outside:") for event in events if "runId" in event)


def test_a_run_that_begins_ends_the_one_that_stands_for_blocks_outside(history: History) -> None:
    outside = history.open_message(author="early")
    encoder = AguiEncoder("c")
    changes = history.subscribe(timeout=5)
    fold = AguiFold()

    def read(count: int) -> None:
        for _ in range(count):
            for event in encoder.encode(next(changes)):
                fold.take(*event)

    read(1)
    run = history.run()
    copy_context().run(run.__enter__)
    outside.write("text")
    outside.flush()
    read(2)
    assert encoder.running == run.id
    copy_context().run(run.__exit__, None, None, None)
    outside.close()
    read(2)
    changes.close()
    assert [how for _, how in fold.runs] == ["success"] * 3
    assert fold.runs[1][0] == run.id and fold.texts() == {outside.block.id: "text"}


def test_a_run_that_is_part_of_another_is_its_subagent(history: History) -> None:
    with history.run() as run:
        history.append_assistant_message("I ask the other", author="boss")
        with history.run() as inner:
            history.append_assistant_message("Here you are", author="helper")
    events = agui(history)
    [started] = [event for event in events if event["type"] == "SUBAGENT_STARTED"]
    assert (started["subagentRunId"], started["name"]) == (inner.id, "helper")
    said = [event.get("subagentRunId") for event in events if event["type"] == "TEXT_MESSAGE_START"]
    assert said == [None, inner.id]
    assert [event["runId"] for event in events if "runId" in event] == [run.id, run.id]
    assert types(events)[-2:] == ["SUBAGENT_FINISHED", "RUN_FINISHED"]


def test_what_is_not_for_people_is_shown_to_nobody_who_does_not_ask(history: History) -> None:
    with history.run() as run:
        history.append_system_message("The secret is 42")
        history.append_assistant_message("The plan", internal=True)
        history.append_assistant_message("Hello")
    assert types(agui(history)).count("TEXT_MESSAGE_START") == 1
    assert types(agui(history, internal=True)).count("TEXT_MESSAGE_START") == 3
    assert [part["text"] for part in ui_messages(history.get_messages())[0]["parts"][1:]] == ["Hello"]
    assert "The secret" in str(ui_messages(history.get_messages(), internal=True))
    encoder = AiSdkEncoder(run.id)
    chunks = [chunk for change in history.subscribe(run=run.id, follow=False) for chunk in encoder.encode(change)]
    assert "The plan" not in str(chunks) and "The secret" not in str(chunks)
    joined = AguiEncoder("c").join(history.get_messages(), history.runs(), history.head())
    assert "The plan" not in str(joined) and "The secret" not in str(joined)


def test_the_same_call_id_again_is_another_call(history: History) -> None:
    with history.run() as run:
        for place in ("Paris", "Rome"):
            history.append_function_call("weather", {"city": place}, call_id="call_1")
            history.append_function_result(f"sun in {place}", call_id="call_1")
    calls = [block.id for block in history.get_messages(types=["function_call"])]
    results = [event["toolCallId"] for event in agui(history) if event["type"] == "TOOL_CALL_RESULT"]
    assert results == calls
    parts = ui_messages(history.get_messages(run=run.id))[0]["parts"]
    assert [part["output"] for part in parts if part["type"] == "dynamic-tool"] == ["sun in Paris", "sun in Rome"]
    [snapshot] = [
        event["messages"]
        for _, event in AguiEncoder("c").join(history.get_messages(), history.runs(), history.head())
        if event["type"] == "MESSAGES_SNAPSHOT"
    ]
    assert [message["toolCallId"] for message in snapshot if message["role"] == "tool"] == calls


def test_tags_of_a_block_are_told_when_they_are_put_on_it(history: History) -> None:
    block = history.append_user_message("Hello")
    history.tag(block, Tag(kind="rating", name="good", value=5))
    [told] = [event for event in agui(history) if event["type"] == "CUSTOM"]
    assert told["name"] == "chatstore.block" and told["value"]["id"] == block.id
    assert told["value"]["tags"] == [{"kind": "rating", "name": "good", "value": 5}]


def test_parts_are_found_where_the_server_says(history: History) -> None:
    picture = Part(type="image", mime_type="image/png", content=b"\x89PNG")
    history.append_user_message("What is this?", parts=[picture, Part(type="text", text="And that?")])
    blocks = history.get_messages()
    [message] = ui_messages(blocks, part_url=lambda block, part: f"/parts/{part.digest}")
    assert [part["type"] for part in message["parts"]] == ["text", "text", "file"]
    assert message["parts"][-1] == {
        "type": "file",
        "url": f"/parts/{blocks[0].parts[0].digest}",
        "mediaType": "image/png",
    }
    encoder = AguiEncoder("c", part_url=lambda block, part: f"/parts/{part.digest}")
    snapshot = encoder.join(blocks, [], history.head())[1].event["messages"]
    assert [part["type"] for part in snapshot[0]["content"]] == ["text", "image", "text"]
    assert len(ui_messages(blocks)[0]["parts"]) == 2  # bytes are nowhere without a server


def test_a_stream_that_is_broken_off_says_so(history: History) -> None:
    assert types([event for _, event in AguiEncoder("c").end()]) == ["RUN_STARTED", "RUN_FINISHED"]
    with history.run() as run, history.open_message() as answer:
        answer.write("half")
        answer.flush()
        encoder, sdk = AguiEncoder("c"), AiSdkEncoder(run.id)
        for change in history.subscribe(follow=False):
            encoder.encode(change)
            sdk.encode(change)
        told = [event for _, event in encoder.end()]
        assert types(told) == ["TEXT_MESSAGE_END", "RUN_ERROR"] and told[-1]["code"] == "running"
        assert types(sdk.end()) == ["text-end", "finish-step", "error"]


def test_an_erased_history_ends_everything_that_is_open(store: ChatStore, history: History) -> None:
    with history.open_message() as answer:
        answer.write("half")
        answer.flush()
        encoder = AguiEncoder("c")
        changes = history.subscribe(timeout=5)
        events = [event for _ in range(2) for event in encoder.encode(next(changes))]
        answer.close()
        history.erase()
        events += [event for change in changes for event in encoder.encode(change)]
    assert events[-1].event["type"] == "RUN_ERROR" and events[-1].event["code"] == "context_erased"
    fold = AguiFold()
    for event in events:
        fold.take(*event)


@pytest.mark.parametrize(
    "id", ["", "x", "-0~", "a-b-c-0~W10", "~", "0123456789ab-0123456789ab-000000000001-0~!!", "\0"]
)
def test_an_id_that_is_none_of_ours_is_refused(id: str) -> None:
    with pytest.raises(InvalidCursor):
        place_of(id)


def test_offsets_of_durable_streams_keep_their_rules(history: History) -> None:
    with history.run():
        blocks = [history.open_message(), history.open_message()]
        for number in range(3):
            for block in blocks:
                block.write(str(number))
                block.flush()
    changes = [*history.subscribe(follow=False)]
    offsets = [change.cursor for change in changes]
    assert all(before < after for before, after in pairwise(offsets))
    assert all(len(one) < 256 and not {*one} & {*",&=?/"} and one not in (START, "now") for one in offsets)
    messages = [message for change in changes if (message := context_message(change)) is not None]
    assert {message["type"] for message in messages} == {"run", "block"}
    assert after_of(START) is None and after_of(offsets[0]) == offsets[0]
    with pytest.raises(InvalidCursor):
        after_of("a/b")


def test_the_cursor_that_a_cache_is_given_always_grows() -> None:
    now = 1_728_432_000 + 100.0
    assert stream_cursor(now) == "5" and stream_cursor(now, "4") == "5"
    assert stream_cursor(now, "5") == "6" and stream_cursor(now, "9", 3) == "12" and stream_cursor(now, "no") == "5"
    assert control("o", now=now, up_to_date=True) == {"streamNextOffset": "o", "streamCursor": "5", "upToDate": True}
    assert control("o", now=now, closed=True)["streamClosed"] is True
