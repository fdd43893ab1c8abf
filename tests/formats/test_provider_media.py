"""Images, sound and files, as OpenAI and Anthropic are sent them."""

from __future__ import annotations

from typing import Any

import pytest
from made_blocks import PNG, answered, called, said
from sending import anthropic, openai

from chatstore import AsyncChatStore, ChatStore, InvalidInput, Part
from chatstore.formats.anthropic_prompt import to_anthropic
from chatstore.formats.openai_prompt import to_openai

PNG_BASE64 = "iVBORw0KGgoAAAAAAAAAAA=="
IMAGE = Part(type="image", mime_type="image/png", content=PNG)
PDF = Part(type="file", content=b"%PDF-1.7")


def test_pictures_and_files_of_a_user_are_sent() -> None:
    linked = Part(type="image", url="https://example.com/a.png")
    draft = said("user", "What is this?", parts=[IMAGE, linked, PDF])
    assert openai(draft)[0]["content"][1:] == [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG_BASE64}"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERi0xLjc=", "filename": "file.pdf"}},
    ]
    assert anthropic(draft)[0][1][1:] == [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG_BASE64}},
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0xLjc="}},
    ]


def test_sound_goes_to_openai_and_is_named_to_anthropic() -> None:
    draft = said("user", "", parts=[Part(type="audio", mime_type="audio/x-wav", content=b"RIFF")])
    sound = {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}
    assert openai(draft)[0]["content"] == [sound]
    assert anthropic(draft) == [("user", ["[audio: audio/x-wav]"])]


def test_plain_text_files_are_documents_for_anthropic() -> None:
    draft = said("user", "Read.", parts=[Part(type="file", mime_type="text/csv", name="a.csv", content=b"a,b\n")])
    source = {"type": "text", "media_type": "text/plain", "data": "a,b\n"}
    assert anthropic(draft)[0][1][1] == {"type": "document", "source": source, "title": "a.csv"}


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (Part(type="image", mime_type="image/svg+xml", content=b"<svg/>"), "[image: image/svg+xml]"),
        (Part(type="image", url="s3://bucket/a.png"), "[image: s3://bucket/a.png]"),
        (Part(type="image", url="data:image/png;base64,a"), "[image]"),
        (Part(type="audio", mime_type="audio/ogg", content=b"OggS"), "[audio: audio/ogg]"),
        (Part(type="file", url="https://example.com/a.docx", name="a.docx"), "[file: a.docx]"),
        (Part(type="file", mime_type="application/pdf", content=b""), "[file: application/pdf]"),
    ],
)
def test_what_a_provider_does_not_take_is_named_in_words(part: Part, words: str) -> None:
    assert openai(said("user", "", parts=[part]))[0]["content"] == words
    assert anthropic(said("user", "", parts=[part])) == [("user", [words])]


def test_what_an_assistant_drew_is_named_in_words() -> None:
    drafts = [said("user", "Draw."), said("assistant", "Here.", parts=[IMAGE])]
    assert openai(*drafts)[1]["content"] == [{"type": "text", "text": text} for text in ("Here.", "[image: image/png]")]
    assert anthropic(*drafts)[1] == ("assistant", ["Here.", "[image: image/png]"])


def test_pictures_in_a_result_reach_the_model() -> None:
    call, other = called("look", call_id="call_1"), called(call_id="call_2")
    drafts = [said("user", "Go."), call, other, answered("Seen:", call, parts=[IMAGE]), answered("x", other)]
    shown = openai(*drafts)[-1]
    assert [message["role"] for message in openai(*drafts)] == ["user", "assistant", "tool", "tool", "user"]
    assert [item["type"] for item in shown["content"]] == ["text", "image_url"]
    assert shown["content"][0]["text"] == "From the result of look (call_1):"
    assert anthropic(*drafts)[2][1][0]["content"][1]["type"] == "image"


def test_bytes_are_read_from_the_store(store: ChatStore) -> None:
    block = store.history("c").append_user_message("What is this?", parts=[IMAGE])
    for sent in (to_openai([block], store.read_bytes), to_anthropic([block], store.read_bytes)):
        assert PNG_BASE64 in str(sent)


@pytest.mark.parametrize("convert", [to_openai, to_anthropic])
def test_bytes_without_a_way_to_read_them_are_an_error(store: ChatStore, convert: Any) -> None:
    block = store.history("c").append_user_message("What is this?", parts=[IMAGE])
    with pytest.raises(InvalidInput, match=r"read_bytes=store\.read_bytes"):
        convert([block])


@pytest.mark.parametrize("convert", [to_openai, to_anthropic])
async def test_bytes_that_have_to_be_awaited_are_an_error(async_store: AsyncChatStore, convert: Any) -> None:
    block = await async_store.history("c").append_user_message("What is this?", parts=[IMAGE])
    with pytest.raises(InvalidInput, match="await the bytes"):
        convert([block], async_store.read_bytes)
    content = {part.digest: await async_store.read_bytes(part) for part in block.parts}
    assert PNG_BASE64 in str(convert([block], lambda part: content[part.digest]))
