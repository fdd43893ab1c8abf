"""What the recorders make of the providers' streams: P1 to P5 of the evidence, and what servers do besides."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import frames
import pytest
import sdk_events
from data_support import data_files
from frames import chunk, ended, item, numbered, of, piece, started
from stored_streams import ADD, MUL, brief, stops, stored

from chatstore import ChatStore
from chatstore.recorders import record

EXPECTED: dict[str, tuple[str, list[tuple[str, str]], tuple[int, int] | None]] = {
    "openai_chat_text": ("completed", [("message", "Hello")], (10, 7)),
    "openai_chat_tools": ("completed", [("function_call", ADD), ("function_call", MUL)], (10, 7)),
    "openai_chat_stream_helper_tools": ("completed", [("function_call", ADD), ("function_call", MUL)], (10, 7)),
    "openai_chat_truncated_no_done": ("failed", [("message", "Hello")], None),
    "openai_responses": (
        "completed",
        [("reasoning", "think"), ("message", "Hello"), ("function_call", ADD)],
        (10, 7),
    ),
    "openai_responses_error": ("failed", [], None),
    "openai_responses_failed": ("failed", [], None),
    "anthropic_raw": (
        "completed",
        [("reasoning", "hmm"), ("message", "Hello"), ("function_call", '{"a": 2, "b": 3}')],
        (10, 21),
    ),
    "anthropic_stream_helper": (
        "completed",
        [("reasoning", "hmm"), ("message", "Hello"), ("function_call", '{"a": 2, "b": 3}')],
        (10, 21),
    ),
    "anthropic_truncated": ("failed", [("reasoning", "hmm"), ("message", "Hel")], (10, 1)),
    "anthropic_unknown_event": ("completed", [], (10, 1)),
}


@pytest.mark.parametrize("case", EXPECTED)
def test_the_captured_streams(case: str, store: ChatStore) -> None:
    """P1 to P5: blocks by keys, arguments whole, usage once, cut streams failed, thoughts in no transcript."""
    [file] = data_files("framework_events/sdk_events.json")
    events = [event["data"] for event in json.loads(file.read_text())[case] if event["py_type"] != "FINAL"]
    name = next(name for name in ("openai_responses", "openai_chat", "anthropic") if case.startswith(name))
    run, blocks = stored(store, events, name)
    state, said, tokens = EXPECTED[case]
    assert (run.state, brief(blocks)) == (state, said)
    usage = run.usage or {}
    counts = [usage.get(one, usage.get(other)) for one, other in NAMES]
    assert counts == [*(tokens or (None, None))]
    assert all(block.usage is None for block in blocks), "it is counted once"
    transcript = store.history(blocks[0].context_id).get_messages(kind="transcript") if blocks else []
    assert {block.type for block in transcript} <= {"message"}
    assert [block.data["signature"] for block in blocks if block.type == "reasoning" and name == "anthropic"] in (
        [],
        ["sig"],
    )


NAMES = [("prompt_tokens", "input_tokens"), ("completion_tokens", "output_tokens")]


class TestChat:
    def test_choices_are_blocks_of_their_own(self, store: ChatStore) -> None:
        stream = [
            chunk({"content": "one"}),
            chunk({"content": "uno"}, index=1),
            chunk({"content": "!"}),
            chunk({}, "stop"),
            chunk({"content": "?"}, index=1),
            chunk({}, "length", index=1),
        ]
        run, blocks = stored(store, sdk_events.chat(stream))
        assert run.state == "completed"
        assert [(block.text, block.data.get("choice")) for block in blocks] == [("one!", None), ("uno?", 1)]
        assert stops(blocks) == [("stop_reason", "length", None)]

    def test_one_choice_that_never_ends_is_a_cut_stream(self, store: ChatStore) -> None:
        stream = [chunk({"content": "one"}), chunk({"content": "uno"}, index=1), chunk({}, "stop")]
        run, blocks = stored(store, sdk_events.chat(stream))
        assert run.state == "failed"
        assert [block.state for block in blocks] == ["closed", "failed"]

    def test_calls_interleave(self, store: ChatStore) -> None:
        """P2: also by the helper, whose own events say too early that a call is done."""
        for events in (sdk_events.whole_chat(), sdk_events.whole_chat_helper()):
            _, blocks = stored(store, events)
            calls = [block.data for block in blocks if block.type == "function_call"]
            assert calls == [
                {"name": "add", "call_id": "call_a", "arguments": {"a": 2, "b": 3}},
                {"name": "mul", "call_id": "call_b", "arguments": {"a": 4, "b": 5}},
            ]

    def test_calls_that_all_have_one_index(self, store: ChatStore) -> None:
        """As Gemini's endpoint numbers them."""
        stream = [
            chunk(piece(0, ADD, "call_a", "add")),
            chunk(piece(0, MUL[:4], "call_b", "mul")),
            chunk(piece(0, MUL[4:])),
            chunk({}, "tool_calls"),
        ]
        _, blocks = stored(store, sdk_events.chat(stream))
        assert [(block.data["call_id"], block.text) for block in blocks] == [("call_a", ADD), ("call_b", MUL)]

    def test_a_name_that_comes_late(self, store: ChatStore) -> None:
        late = {"tool_calls": [{"index": 0, "id": "call_a", "type": "function"}]}
        stream = [chunk(late), chunk(piece(0, "{}", name="add")), chunk({}, "tool_calls")]
        _, [call] = stored(store, sdk_events.chat(stream))
        assert call.data == {"name": "add", "call_id": "call_a", "arguments": {}}

    def test_a_call_of_models_before_tools(self, store: ChatStore) -> None:
        stream = [
            chunk({"function_call": {"name": "add", "arguments": ""}}),
            chunk({"function_call": {"arguments": ADD}}),
            chunk({}, "function_call"),
        ]
        run, [call] = stored(store, sdk_events.chat(stream))
        assert run.state == "completed"
        assert call.data == {"name": "add", "call_id": None, "arguments": {"a": 2, "b": 3}}

    def test_a_custom_tool_takes_any_text(self, store: ChatStore) -> None:
        def custom(index: int, input: str, **more: Any) -> dict[str, Any]:
            return {
                "tool_calls": [
                    {"index": index, **more, "custom": {"input": input, **({"name": "run"} if more else {})}}
                ]
            }

        stream = [chunk(custom(0, "", id="c", type="custom")), chunk(custom(0, "print(")), chunk(custom(0, "1)"))]
        _, [call] = stored(store, sdk_events.chat([*stream, chunk({}, "tool_calls")]))
        assert (call.text, call.data["custom"], call.data["arguments"]) == ("print(1)", True, None)

    def test_a_refusal_is_a_message(self, store: ChatStore) -> None:
        stream = [chunk({"refusal": "I can"}), chunk({"refusal": "not."}), chunk({}, "stop")]
        for events in (sdk_events.chat(stream), sdk_events.chat_helper(stream)):
            _, [block] = stored(store, events)
            assert (block.type, block.text, block.data["refusal"]) == ("message", "I cannot.", True)

    def test_what_is_said_by_voice_and_what_nobody_knows(self, store: ChatStore) -> None:
        stream = [
            chunk({"audio": {"id": "audio_1", "transcript": "Hel"}, "telepathy": [1]}),
            chunk({"audio": {"transcript": "lo", "data": "AAAA"}}, moderation=None),
            chunk({}, "stop"),
            chunk({"audio": {"expires_at": 7}}),
        ]
        run, [block] = stored(store, sdk_events.chat(stream))
        assert run.state == "completed"
        assert (block.text, block.data["audio"]) == ("Hello", "audio_1")

    def test_thoughts_end_where_the_answer_begins(self, store: ChatStore) -> None:
        """Some servers say thoughts under both names; they are stored once."""
        stream = [
            chunk({"reasoning_content": "hm", "reasoning": "hm"}),
            chunk({"reasoning": "m", "content": ""}),
            chunk({"content": "Yes"}),
            chunk({"reasoning": "wait"}),
            chunk({"content": "."}),
            chunk({}, "stop"),
        ]
        _, blocks = stored(store, sdk_events.chat(stream))
        assert brief(blocks) == [("reasoning", "hmm"), ("message", "Yes."), ("reasoning", "wait")]

    def test_what_stopped_an_answer_is_a_tag(self, store: ChatStore) -> None:
        run, blocks = stored(store, sdk_events.chat([chunk({"content": "Hel"}), chunk({}, "length")]))
        assert (run.state, stops(blocks)) == ("completed", [("stop_reason", "length", None)])
        run, blocks = stored(store, sdk_events.chat([chunk({}, "content_filter")]))
        assert (run.state, brief(blocks)) == ("completed", [("status", "content_filter")])
        assert stops(blocks) == [("stop_reason", "content_filter", None)]

    def test_usage_of_each_chunk_is_of_all_so_far(self, store: ChatStore) -> None:
        more = [
            {"usage": {"prompt_tokens": 10, "completion_tokens": count, "total_tokens": 10 + count}} for count in (1, 2)
        ]
        stream = [chunk({"content": "a"}, **more[0]), chunk({}, "stop", **more[1])]
        run, _ = stored(store, sdk_events.chat(stream))
        assert run.usage == more[1]["usage"]


class TestResponses:
    def test_a_refusal_is_a_message(self, store: ChatStore) -> None:
        part = {"type": "refusal", "refusal": "I cannot."}
        message = {"id": "msg_1", "type": "message", "role": "assistant", "content": []}
        items = item(
            0,
            message,
            {"content": [part]},
            of(0, "content_part.added", content_index=0, part={"type": "refusal", "refusal": ""}),
            of(0, "refusal.delta", content_index=0, delta="I can"),
            of(0, "refusal.delta", content_index=0, delta="not."),
            of(0, "refusal.done", content_index=0, refusal="I cannot."),
        )
        _, [block] = stored(store, sdk_events.responses(numbered(*started(), *items, ended(items))))
        assert (block.text, block.data["refusal"], block.data["message_id"]) == ("I cannot.", True, "msg_1")

    def test_thoughts_in_parts_and_sealed(self, store: ChatStore) -> None:
        items = [
            *frames.reasoning_item(0, "rs_1", "First.", "Second.", encrypted_content="sealed"),
            *frames.reasoning_item(1, "rs_2", encrypted_content="more"),
            *frames.reasoning_item(2, "rs_3"),
        ]
        _, blocks = stored(store, sdk_events.responses(numbered(*started(), *items, ended(items))))
        assert brief(blocks) == [("reasoning", "First.\n\nSecond."), ("reasoning", "")]
        assert [block.data["encrypted_content"] for block in blocks] == ["sealed", "more"]

    def test_thoughts_themselves(self, store: ChatStore) -> None:
        """As models with open weights show them."""
        items = item(
            0,
            {"id": "rs_1", "type": "reasoning", "summary": []},
            {"content": [{"type": "reasoning_text", "text": "hmm"}]},
            of(0, "reasoning_text.delta", content_index=0, delta="h"),
            of(0, "reasoning_text.delta", content_index=0, delta="mm"),
        )
        _, blocks = stored(store, sdk_events.responses(numbered(*started(), *items, ended(items))))
        assert brief(blocks) == [("reasoning", "hmm")]

    def test_custom_tools_and_those_of_mcp(self, store: ChatStore) -> None:
        items = [
            *item(
                0,
                {"id": "ctc_1", "type": "custom_tool_call", "call_id": "call_a", "name": "run", "input": ""},
                {"input": "print(1)"},
                of(0, "custom_tool_call_input.delta", delta="print("),
                of(0, "custom_tool_call_input.delta", delta="1)"),
            ),
            *item(
                1,
                {"id": "mcp_1", "type": "mcp_call", "name": "add", "server_label": "sums", "arguments": ""},
                {"arguments": ADD, "output": "5"},
                of(1, "mcp_call_arguments.delta", delta=ADD),
            ),
            *item(
                2,
                {"id": "mcp_2", "type": "mcp_call", "name": "add", "server_label": "sums", "arguments": ADD},
                {"error": "no numbers"},
            ),
        ]
        _, blocks = stored(store, sdk_events.responses(numbered(*started(), *items, ended(items))))
        custom, call, result, _, failed = blocks
        assert (custom.text, custom.data["custom"], custom.data["call_id"]) == ("print(1)", True, "call_a")
        assert (call.data["server"], call.data["arguments"]) == ("sums", {"a": 2, "b": 3})
        assert (result.text, result.parent_id, result.data["is_error"]) == ("5", call.id, False)
        assert (failed.text, failed.data["is_error"]) == ("no numbers", True)

    def test_tools_of_openai_are_statuses(self, store: ChatStore) -> None:
        items = [
            *item(
                0,
                {"id": "ws_1", "type": "web_search_call"},
                {"action": {"type": "search", "query": "weather in Paris"}},
                of(0, "web_search_call.searching"),
            ),
            *item(
                1,
                {"id": "ci_1", "type": "code_interpreter_call", "code": "", "container_id": "c"},
                {"code": "print(1)", "outputs": [{"type": "logs", "logs": "1"}]},
                of(1, "code_interpreter_call_code.delta", delta="print("),
                of(1, "code_interpreter_call_code.delta", delta="1)"),
            ),
            *item(2, {"id": "fs_1", "type": "file_search_call", "queries": ["a", "b"]}, {"results": None}),
        ]
        _, blocks = stored(store, sdk_events.responses(numbered(*started(), *items, ended(items))))
        assert brief(blocks) == [("status", "weather in Paris"), ("status", "print(1)"), ("status", "a, b")]
        assert [block.data["tool"] for block in blocks] == ["web_search", "code_interpreter", "file_search"]
        assert blocks[1].data["outputs"] == [{"type": "logs", "logs": "1"}]

    def test_calls_that_the_caller_runs_by_itself(self, store: ChatStore) -> None:
        action = {"commands": ["ls"]}
        items = [
            *item(0, {"id": "sh_1", "type": "shell_call", "call_id": "call_s", "action": action}, {}),
            *item(
                1,
                {
                    "id": "sho_1",
                    "type": "shell_call_output",
                    "call_id": "call_s",
                    "max_output_length": None,
                    "output": [],
                },
                {"output": [{"stdout": "a.txt", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}]},
            ),
        ]
        _, [call, result] = stored(store, sdk_events.responses(numbered(*started(), *items, ended(items))))
        assert (call.data["name"], call.data["call_id"], call.data["arguments"]) == ("shell", "call_s", action)
        assert (result.type, result.parent_id) == ("function_result", call.id)
        assert "a.txt" in result.text

    def test_an_image_is_a_part(self, store: ChatStore) -> None:
        result = b64encode(b"\x89PNG picture").decode()
        items = item(0, {"id": "ig_1", "type": "image_generation_call"}, {"result": result, "output_format": "png"})
        _, [status, image] = stored(store, sdk_events.responses(numbered(*started(), *items, ended(items))))
        assert "result" not in status.data
        assert store.read_bytes(image.parts[0]) == b"\x89PNG picture"

    def test_events_that_come_again_are_passed_by(self, store: ChatStore) -> None:
        """As after a broken connection, by `starting_after`, with some that were there."""
        events = sdk_events.whole_response()
        run, blocks = stored(store, [*events[:11], *events[8:]])
        assert run.state == "completed"
        assert brief(blocks) == EXPECTED["openai_responses"][1]

    @pytest.mark.parametrize("number", [0, -1])
    def test_a_server_that_numbers_all_events_alike(self, store: ChatStore, number: int) -> None:
        stream = [{**event, "sequence_number": number} for event in frames.RESPONSES]
        _, blocks = stored(store, sdk_events.responses(stream))
        assert brief(blocks) == EXPECTED["openai_responses"][1]

    def test_what_was_never_streamed_is_taken_from_the_end(self, store: ChatStore) -> None:
        first, *_, last = frames.RESPONSES
        run, blocks = stored(store, sdk_events.responses([first, last]))
        assert run.state == "completed"
        assert brief(blocks) == EXPECTED["openai_responses"][1]

    def test_an_answer_that_a_limit_cuts_is_complete_and_tagged(self, store: ChatStore) -> None:
        items = frames.text_item(0, "msg_1", "Hel")
        last = ended(items, "incomplete", incomplete_details={"reason": "max_output_tokens"})
        run, blocks = stored(store, sdk_events.responses(numbered(*started(), *items, last)))
        assert (run.state, brief(blocks)) == ("completed", [("message", "Hel")])
        assert stops(blocks) == [("stop_reason", "max_output_tokens", None)]
        assert run.usage is not None

    def test_a_response_that_failed(self, store: ChatStore) -> None:
        """P4: what was open failed with it; what it cost is kept."""
        items = frames.text_item(0, "msg_1", "Hel")
        last = ended([], "failed", error={"code": "server_error", "message": "boom"})
        run, [block] = stored(store, sdk_events.responses(numbered(*started(), *items[:3], last)))
        assert run.error is not None
        assert (run.state, run.error.type, run.error.message) == ("failed", "StreamFailed", "server_error: boom")
        assert (block.text, block.state) == ("Hel", "failed")
        assert run.usage is not None

    def test_sources_are_kept_beside_the_text(self, store: ChatStore) -> None:
        items = frames.text_item(0, "msg_1", "Paris")
        source = {"type": "url_citation", "url": "https://x.test", "title": "X", "start_index": 0, "end_index": 5}
        items[-1]["item"]["content"][0]["annotations"] = [source]
        _, [block] = stored(store, sdk_events.responses(numbered(*started(), *items, ended(items))))
        assert block.data["annotations"] == [source]


def test_events_of_another_package_are_refused_by_name(store: ChatStore) -> None:
    """By an error where that is asked for, and otherwise by a run that failed."""
    history = store.history("other")
    assert [*record(["text"], history)] == ["text"]
    [run] = history.runs()
    assert run.error is not None
    assert "no recorder is known for events like str of builtins" in run.error.message
