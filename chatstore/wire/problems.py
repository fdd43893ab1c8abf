"""Errors as `application/problem+json` (RFC 9457), and back again as errors of the tree."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, Final

from chatstore import errors
from chatstore.errors import ChatStoreError, StorageError

MEDIA_TYPE: Final = "application/problem+json"
_STATUS: Final[tuple[tuple[type[ChatStoreError], int], ...]] = (
    (errors.CursorExpired, 410),
    (errors.LimitExceeded, 413),
    (errors.InvalidInput, 422),
    (errors.Conflict, 412),
    (errors.KeyConflict, 409),
    (errors.BlocksRemoved, 410),
    (errors.BlockEnded, 409),
    (errors.RunOver, 409),
    (errors.ContextErased, 410),
    (errors.RunNotFound, 404),
    (errors.BlockNotFound, 404),
    (errors.BlobNotFound, 404),
    (errors.StoreBusy, 503),
    (errors.StoreUnavailable, 503),
    (errors.StoreFull, 507),
    (errors.StoreClosed, 503),
)
"""The first that an error is of; all others are the server's own: 500."""
_DATA: Final = ("head", "start", "first_index", "count", "limit", "value")
_ERRORS: Final[dict[str, type[ChatStoreError]]] = {
    error.code: error for _, error in inspect.getmembers(errors, inspect.isclass) if issubclass(error, ChatStoreError)
}


def status_of(error: ChatStoreError) -> int:
    """The status of an answer that tells of an error."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def problem(error: ChatStoreError) -> dict[str, Any]:
    """An error as a problem: its `code`, `retryable`, and what data it has. Of an error of the server's own nothing is
    told: its message may name paths."""
    status = status_of(error)
    own = {name: value for name in _DATA if (value := getattr(error, name, None)) is not None}
    detail = str(error) if status < 500 else _OWN.get(status, "the server could not do it; its log says why")
    return described(status, error.code, detail, retryable=error.retryable, **own)


_OWN: Final = {503: "the store cannot be reached or is busy now; try again", 507: "the store has no space left"}


def described(status: int, code: str, detail: str, *, retryable: bool = False, **own: Any) -> dict[str, Any]:
    """A problem by its parts."""
    title = code.replace("_", " ")
    return {"type": "about:blank", "title": title, "status": status, "code": code, "detail": detail} | {
        "retryable": retryable,
        **own,
    }


def error_of(problem: Mapping[str, Any], status: int) -> ChatStoreError:
    """The error that a problem tells of; a StorageError of one that is not known here."""
    kind = _ERRORS.get(str(problem.get("code")), StorageError)
    message = str(problem.get("detail") or f"the server answered with status {status}")
    wanted = inspect.signature(kind.__init__).parameters  # a ValueError's own cannot be told
    return kind(message, **{name: problem[name] for name in _DATA if name in wanted and name in problem})
