"""Lines to conversations: every line is a conversation, part of one, or refused with a reason."""

from __future__ import annotations

import io
import json

import pytest

from chatstore.formats import jsonl
from chatstore.formats.jsonl import Conversation, Refused, conversations, whole_lines

MESSAGE = {"role": "user", "content": "Hi\u2028there"}


def read(*lines: object) -> list[Conversation | Refused]:
    encoded = (line if isinstance(line, bytes) else json.dumps(line, ensure_ascii=False).encode() for line in lines)
    return list(conversations((line + b"\n" for line in encoded), "chat"))


def test_a_record_names_its_conversation() -> None:
    assert read({"id": "c1", "messages": [MESSAGE]}, {"id": 7, "messages": []}) == [
        Conversation(1, "c1", [MESSAGE]),
        Conversation(2, "7", []),
    ]


def test_without_an_id_the_file_and_the_line_name_it() -> None:
    assert read([MESSAGE], b"", {"messages": [MESSAGE]}) == [
        Conversation(1, "chat-1", [MESSAGE]),
        Conversation(3, "chat-3", [MESSAGE]),
    ]


def test_single_messages_are_one_conversation() -> None:
    assert read(MESSAGE, b"  \r", MESSAGE) == [Conversation(1, "chat", [MESSAGE, MESSAGE])]


def test_a_gap_in_single_messages_refuses_their_conversation() -> None:
    found = read(MESSAGE, b"{", MESSAGE)
    assert [(type(one), one.line) for one in found] == [(Refused, 2), (Refused, 1)]


def test_a_refused_line_leaves_the_others() -> None:
    found = read([MESSAGE], b"[}", [MESSAGE])
    assert [type(one) for one in found] == [Conversation, Refused, Conversation]


def test_a_byte_order_mark_may_begin_a_file_and_nothing_else() -> None:
    line = b"\xef\xbb\xbf" + json.dumps([MESSAGE]).encode()
    first, second = read(line, line)
    assert isinstance(first, Conversation)
    assert isinstance(second, Refused)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'["\xff"]', "not UTF-8: byte 2 is 0xff"),
        ('["\\ud800"]'.encode("utf-16"), "not UTF-8"),
        (b"[NaN]", "NaN in it is not JSON"),
        (b"[-Infinity]", "-Infinity in it is not JSON"),
        (b"[" * 100_000, "nested too deep"),
        (b"[1" + b"0" * 5_000 + b"]", "too many digits"),
        (b"{'a': 1}", "not JSON: Expecting property name"),
        (b'"text"', "neither a record"),
        (b"null", "neither a record"),
        (b'{"content": "no role"}', "neither a record"),
        (b'{"messages": {}}', "neither a record"),
        (b'{"messages": [], "id": true}', "`id` is neither"),
        (b'{"messages": [], "id": ""}', "`id` is neither"),
        (b'{"messages": [], "id": 1.5}', "`id` is neither"),
    ],
)
def test_what_is_no_conversation_is_refused_with_a_reason(line: bytes, reason: str) -> None:
    (found,) = read(line)
    assert isinstance(found, Refused)
    assert reason in found.reason


class Counted(io.BytesIO):
    """A file that knows the most that was asked of it at once."""

    most = 0

    def readline(self, size: int | None = -1) -> bytes:
        assert size is not None and size > 0
        self.most = max(self.most, size)
        return super().readline(size)


@pytest.mark.parametrize("end", [b"", b"\n" + json.dumps([MESSAGE]).encode()])
def test_a_line_without_end_is_refused_and_never_held(monkeypatch: pytest.MonkeyPatch, end: bytes) -> None:
    monkeypatch.setattr(jsonl, "LONGEST", 100)
    monkeypatch.setattr(jsonl, "_SKIPPED", 10)
    raw = Counted(json.dumps([MESSAGE]).encode() + b"\n" + b"\0" * 10_000 + end)
    first, refused, *rest = conversations(whole_lines(raw), "chat")
    assert (first, refused) == (Conversation(1, "chat-1", [MESSAGE]), Refused(2, "a line of more than 100 bytes"))
    assert rest == ([Conversation(3, "chat-3", [MESSAGE])] if end else [])
    assert raw.most == 100
