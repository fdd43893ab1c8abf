"""What OpenAPI says of the whole application: how a caller shows its token, and that parameters are left out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from fastapi import FastAPI

from chatstore.errors import StoreClosed
from chatstore.server.tokens import COOKIE, QUERY, WITHOUT_HEADERS, TokenAuthority

_SCHEMES: Final[dict[str, dict[str, str]]] = {
    "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
    "address": {
        "type": "apiKey",
        "in": "query",
        "name": QUERY,
        "description": "A token for reading alone, for streams and parts: browsers open those by their address.",
    },
}


def complete(app: FastAPI, authority: TokenAuthority | None) -> None:
    """Has an application's OpenAPI say that; of tokens, if those of an `authority` are asked for."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is not None:
            return app.openapi_schema
        described = plain()
        for path, operations in described["paths"].items():
            for method, operation in operations.items():
                _leave_null_out(operation.get("parameters", ()))
                if authority and "401" in operation["responses"]:
                    operation["security"] = _shown(path, method)
        if authority:
            described["components"]["securitySchemes"] = {**_SCHEMES, "page": _cookie(authority)}
        return described

    app.openapi = openapi  # type: ignore[method-assign]


def _leave_null_out(parameters: Iterable[dict[str, Any]]) -> None:
    """None is what a parameter is where it is not given: neither a query nor a header can say it."""
    for parameter in parameters:
        schema = parameter["schema"]
        given = [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]
        if len(given) == 1:
            del schema["anyOf"]
            schema.update(given[0])


def _shown(path: str, method: str) -> list[dict[str, list[str]]]:
    by_address = method == "get" and WITHOUT_HEADERS.search(path)
    shown: list[dict[str, list[str]]] = [{"bearer": []}, {"page": []}]
    return [*shown, {"address": []}] if by_address else shown


def _cookie(authority: TokenAuthority) -> dict[str, str]:
    """Each store's has a name of its own, which is known once it is open."""
    try:
        name = authority.cookie
    except StoreClosed:
        name = f"{COOKIE}_…"
    told = "Set by opening the link of the page; taken from requests of the page's own origin alone."
    return {"type": "apiKey", "in": "cookie", "name": name, "description": told}
