"""The models: frozen, closed, and quiet about content in their errors."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from chatstore import BlockDraft, InvalidInput, Part, Tag, errors, ids
from chatstore.errors import ChatStoreError


@pytest.mark.parametrize("model", [Tag(kind="k", name="n"), BlockDraft(text="x"), Part(type="text", text="x")])
def test_models_are_frozen_and_closed(model: Tag | BlockDraft | Part) -> None:
    with pytest.raises(ValidationError):
        setattr(model, next(iter(type(model).model_fields)), "other")
    with pytest.raises(ValidationError):
        type(model)(**{**model.model_dump(), "unknown": 1})


def test_the_bytes_of_a_part_are_not_shown() -> None:
    assert "secret" not in repr(Part(type="file", content=b"secret"))


def test_an_error_of_a_model_does_not_show_the_content() -> None:
    with pytest.raises(ValidationError) as refusal:
        BlockDraft(text=["secret"])  # type: ignore[arg-type]
    assert "secret" not in str(refusal.value)


def test_an_id_is_a_uuid_version_7_of_its_time_and_reads_back() -> None:
    now = int(datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC).timestamp() * 1_000_000)
    raw = ids.new_id(now)
    text = ids.id_text(raw)
    assert ids.id_bytes(text) == raw
    assert (text[14], text[19] in "89ab") == ("7", True)
    assert int(text[:8] + text[9:13], 16) == now // 1000


def test_ids_of_one_moment_differ() -> None:
    assert len({ids.new_id(0) for _ in range(1000)}) == 1000


@pytest.mark.parametrize("text", ["", "x", None, 5, b"x", "0" * 33])
def test_other_text_is_no_id(text: object) -> None:
    with pytest.raises(InvalidInput):
        ids.id_bytes(text)  # type: ignore[arg-type]


@pytest.mark.parametrize("microseconds", [0, 1, 1_700_000_000_123_456, 253_402_300_799_999_999])
def test_a_time_comes_back_to_the_microsecond(microseconds: int) -> None:
    moment = ids.to_datetime(microseconds)
    assert moment.tzinfo is UTC
    assert (moment - datetime(1970, 1, 1, tzinfo=UTC)) // (moment.resolution) == microseconds


def test_every_error_is_drawn_in_the_tree_and_has_a_code_of_its_own() -> None:
    found = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ChatStoreError)]
    assert len({kind.code for kind in found}) == len(found)
    for kind in found:
        assert f" {kind.__name__}" in (errors.__doc__ or ""), kind
