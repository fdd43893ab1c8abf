"""Content that is more than text: bytes where it was base64, parts where readers expect them, and back as it was."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from conversations import imported

from chatstore import ChatStore

PIXEL = bytes(range(60))
PIXEL_TEXT = base64.b64encode(PIXEL).decode()
PIXEL_URL = f"data:image/png;base64,{PIXEL_TEXT}"


def test_the_leading_text_of_a_list_is_the_text_of_the_block(store: ChatStore) -> None:
    content = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": PIXEL_URL, "detail": "low"}},
        {"type": "text", "text": "And this?"},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
    ]
    (block,) = imported(store, {"role": "user", "content": content})
    assert block.text == "What is this?"
    assert [part.type for part in block.parts] == ["image", "text", "image"]
    assert store.read_bytes(block.parts[0]) == PIXEL
    assert (block.parts[0].mime_type, block.parts[2].url) == ("image/png", "https://example.com/a.png")


@pytest.mark.parametrize(
    ("item", "type", "mime_type"),
    [
        ({"type": "image_url", "image_url": {"url": PIXEL_URL}}, "image", "image/png"),
        ({"type": "image_url", "image_url": PIXEL_URL, "cache_control": {}}, "image", "image/png"),
        ({"type": "input_audio", "input_audio": {"data": PIXEL_TEXT, "format": "mp3"}}, "audio", "audio/mpeg"),
        ({"type": "input_audio", "input_audio": {"data": PIXEL_TEXT, "format": "wav"}}, "audio", "audio/wav"),
        ({"type": "input_audio", "input_audio": {"data": PIXEL_TEXT, "format": "mpeg"}}, "audio", "audio/mpeg"),
        ({"type": "input_audio", "input_audio": {"data": PIXEL_TEXT}}, "audio", None),
        ({"type": "file", "file": {"file_data": PIXEL_URL, "filename": "a.png"}}, "file", "image/png"),
        ({"type": "document_url", "document_url": PIXEL_URL}, "file", "image/png"),
        ({"type": "video_url", "video_url": {"url": PIXEL_URL, "fps": 1.0}}, "file", "image/png"),
        ({"type": "audio_url", "audio_url": {"url": PIXEL_URL}}, "audio", "image/png"),
    ],
)
def test_base64_becomes_bytes(store: ChatStore, item: dict[str, Any], type: str, mime_type: str | None) -> None:
    (block,) = imported(store, {"role": "user", "content": [{"type": "text", "text": "See"}, item]})
    (part,) = block.parts
    assert (part.type, part.mime_type, store.read_bytes(part)) == (type, mime_type, PIXEL)
    assert PIXEL_TEXT not in block.model_dump_json()


@pytest.mark.parametrize(
    "url",
    [
        "data:image/png;base64,QUJ",
        "data:image/png;base64,QQ ==",
        "data:image/png;base64,QR==",
        "data:,text",
        "",
        "x\0y",
        "data:;base64,QUJD",
        "data:a\0b;base64,QUJD",
        "data:image/png;base64,",
    ],
)
def test_a_url_that_bytes_would_not_give_back_stays_as_it_is(store: ChatStore, url: str) -> None:
    imported(store, {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]})


def test_a_spoken_answer_is_a_block_with_its_words_and_its_sound(store: ChatStore) -> None:
    audio = {"id": "a1", "expires_at": 1, "data": PIXEL_TEXT, "transcript": "Eighteen degrees Celsius it is."}
    (block,) = imported(store, {"role": "assistant", "content": None, "audio": audio})
    assert (block.text, store.read_bytes(block.parts[0])) == (audio["transcript"], PIXEL)
    assert PIXEL_TEXT not in block.model_dump_json()


def test_a_refusal_is_said(store: ChatStore) -> None:
    (block,) = imported(store, {"role": "assistant", "content": None, "refusal": "I cannot help with that."})
    assert block.text == "I cannot help with that."
