"""Changes as JSON: `change` names the kind, beside the fields of the model."""

from __future__ import annotations

import json
from typing import Any, Final

from pydantic import ValidationError

from chatstore.changes import (
    BlockAdded,
    BlockClosed,
    BlockUpdated,
    Change,
    HistoryErased,
    RunEnded,
    RunStarted,
    TextAppended,
)
from chatstore.errors import InvalidData

_MODELS: Final[dict[str, type[Change]]] = {
    "block_added": BlockAdded,
    "text_appended": TextAppended,
    "block_updated": BlockUpdated,
    "block_closed": BlockClosed,
    "run_started": RunStarted,
    "run_ended": RunEnded,
    "history_erased": HistoryErased,
}
_NAMES: Final = {model: name for name, model in _MODELS.items()}
NAMES: Final = tuple(_MODELS)
"""The kinds of changes, by the names they have on the wire."""


def name_of(change: Change) -> str:
    """The name of a change's kind."""
    return _NAMES[type(change)]


def to_json(change: Change) -> str:
    """A change as one line of JSON; no character of it ends a line."""
    text = change.model_dump_json()
    return f'{{"change":"{name_of(change)}",{text[1:]}'


def to_object(change: Change) -> dict[str, Any]:
    """The same, as what that JSON means."""
    return {"change": name_of(change), **change.model_dump(mode="json")}


def from_json(text: str | bytes) -> Change:
    """The change of a line. Raises InvalidData."""
    return from_object(json.loads(text))


def from_object(value: dict[str, Any]) -> Change:
    """The change that JSON means. Raises InvalidData."""
    given = dict(value)
    model = _MODELS.get(given.pop("change", ""))
    if model is None:
        raise InvalidData("JSON that is no change: its `change` names none")
    try:
        return model.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise InvalidData(f"a change with a wrong {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
