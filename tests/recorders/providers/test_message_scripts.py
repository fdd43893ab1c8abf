"""What the recorder makes of Anthropic's streams, and of what servers do besides."""

from __future__ import annotations

import frames
import pytest
import sdk_events
from frames import content, tool_content
from stored_streams import ADD, brief, stops, stored

from chatstore import ChatStore


class TestMessages:
    def test_a_call_without_arguments(self, store: ChatStore) -> None:
        """Its input as it began, {}, is not the beginning of the arguments, but is all of them where none come."""
        stream = [frames.message_start(), *tool_content(0, "toolu_1", "now", ""), *frames.message_end("tool_use")]
        _, [call] = stored(store, sdk_events.messages(stream))
        assert (call.text, call.data["arguments"]) == ("{}", {})

    def test_sealed_and_silent_thoughts(self, store: ChatStore) -> None:
        """P5: they are kept as the provider wants them back, also where there is nothing to read in them."""
        stream = [
            frames.message_start(),
            *content(0, {"type": "redacted_thinking", "data": "sealed"}),
            *frames.thinking_content(1, "sig"),
            *frames.text_content(2, "Yes"),
            *frames.message_end(),
        ]
        _, [redacted, silent, said] = stored(store, sdk_events.messages(stream))
        assert (redacted.type, redacted.data["redacted_thinking"]) == ("reasoning", "sealed")
        assert (silent.type, silent.text, silent.data["signature"]) == ("reasoning", "", "sig")
        assert store.history(said.context_id).get_messages(kind="transcript") == [said]

    def test_tools_of_anthropic_are_statuses(self, store: ChatStore) -> None:
        found = {"type": "web_search_result", "title": "X", "url": "https://x.test", "encrypted_content": "e"}
        result = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [found]}
        stream = [
            frames.message_start(),
            *tool_content(0, "srvtoolu_1", "web_search", '{"query": "Paris"}', type="server_tool_use"),
            *content(1, result),
            *frames.text_content(2, "It is."),
            *frames.message_end(),
        ]
        for events in (sdk_events.messages(stream), sdk_events.messages_helper(stream)):
            _, [search, answer, _] = stored(store, events)
            assert (search.type, search.text, search.data["tool"]) == ("status", '{"query": "Paris"}', "web_search")
            assert (answer.type, answer.parent_id) == ("status", search.id)
            assert answer.data["content"][0]["url"] == "https://x.test"

    def test_tools_of_mcp_are_calls_with_their_results(self, store: ChatStore) -> None:
        use = {"type": "mcp_tool_use", "id": "mcptoolu_1", "name": "add", "server_name": "sums", "input": {}}
        result = {"type": "mcp_tool_result", "tool_use_id": "mcptoolu_1", "is_error": False}
        stream = [
            frames.message_start(),
            *content(0, use, {"type": "input_json_delta", "partial_json": ADD}),
            *content(1, {**result, "content": [{"type": "text", "text": "5"}]}),
            *frames.message_end(),
        ]
        _, [call, answer] = stored(store, stream, "anthropic")
        assert call.data == {"name": "add", "call_id": "mcptoolu_1", "server": "sums", "arguments": {"a": 2, "b": 3}}
        assert (answer.type, answer.text, answer.parent_id) == ("function_result", "5", call.id)

    def test_sources_are_kept_beside_the_text(self, store: ChatStore) -> None:
        citation = {"type": "char_location", "cited_text": "Paris", "document_index": 0}
        place = {"document_title": None, "start_char_index": 0, "end_char_index": 5, "file_id": None}
        deltas = (
            {"type": "text_delta", "text": "Paris"},
            {"type": "citations_delta", "citation": {**citation, **place}},
        )
        stream = [frames.message_start(), *content(0, {"type": "text", "text": ""}, *deltas), *frames.message_end()]
        _, [block] = stored(store, sdk_events.messages(stream))
        assert block.data["citations"][0]["cited_text"] == "Paris"

    @pytest.mark.parametrize("reason", ["max_tokens", "refusal", "pause_turn"])
    def test_what_stopped_an_answer_is_a_tag(self, store: ChatStore, reason: str) -> None:
        stream = [frames.message_start(), *frames.text_content(0, "Hel"), *frames.message_end(reason)]
        run, blocks = stored(store, sdk_events.messages(stream))
        assert (run.state, stops(blocks)) == ("completed", [("stop_reason", reason, None)])

    def test_a_refusal_without_a_word(self, store: ChatStore) -> None:
        details = {"type": "refusal", "category": "cyber", "explanation": "no"}
        stream = [frames.message_start(), *frames.message_end("refusal", stop_details=details)]
        _, blocks = stored(store, sdk_events.messages(stream))
        assert brief(blocks) == [("status", "refusal")]
        assert stops(blocks) == [("stop_reason", "refusal", details)]

    def test_usage_that_is_left_out_stays_as_it_was(self, store: ChatStore) -> None:
        stream = [frames.message_start(), *frames.text_content(0, "Hi"), *frames.message_end()]
        stream[-2]["usage"] = {"output_tokens": 3, "cache_read_input_tokens": 2}
        run, _ = stored(store, sdk_events.messages(stream))
        assert run.usage == {"input_tokens": 10, "output_tokens": 3, "cache_read_input_tokens": 2}
