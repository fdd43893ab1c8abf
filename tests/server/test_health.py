"""What those ask who look after a server: whether it lives, whether its store can be read, how it is described."""

from __future__ import annotations

from pathlib import Path

import httpx
from http_support import Served, append, events, problem

from chatstore import AsyncChatStore
from chatstore.server import create_app
from chatstore.server.tokens import QUERY


def test_a_server_without_its_store_lives_and_is_not_ready(served: Served, path: Path) -> None:
    stranger = served.stranger()
    assert stranger.get("/readyz").json() == {"status": "ready"}
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()
    body = problem(stranger.get("/readyz"), 503, "not_ready")
    assert body["retryable"]
    assert str(path.parent) not in str(body)
    assert stranger.get("/healthz").json() == {"status": "ok"}


def test_openapi_tells_how_a_token_is_shown(served: Served, client: httpx.Client) -> None:
    described = client.get("/openapi.json").json()
    schemes = described["components"]["securitySchemes"]
    assert {name: (one["type"], one.get("in")) for name, one in schemes.items()} == {
        "bearer": ("http", None),
        "page": ("apiKey", "cookie"),
        "address": ("apiKey", "query"),
    }
    assert (schemes["page"]["name"], schemes["address"]["name"]) == (served.authority.cookie, QUERY)
    assert {"page": []} in described["paths"]["/contexts"]["get"]["security"]
    assert {"address": []} not in described["paths"]["/contexts"]["get"]["security"]
    assert {"address": []} in described["paths"]["/events"]["get"]["security"]
    assert "security" not in described["paths"]["/readyz"]["get"]
    assert "503" in described["paths"]["/readyz"]["get"]["responses"]


def test_openapi_is_there_before_the_store_is_open(path: Path) -> None:
    described = create_app(AsyncChatStore(path)).openapi()
    assert described["components"]["securitySchemes"]["page"]["in"] == "cookie"


def test_openapi_tells_what_agents_are_asked(client: httpx.Client) -> None:
    described = client.get("/openapi.json").json()
    for path, form in (("/agui/{context}", "AguiInput"), ("/api/chat/{context}", "UiInput")):
        body = described["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
        assert body == {"$ref": f"#/components/schemas/{form}"}
        assert described["components"]["schemas"][form]["required"] == ["messages"]


def test_metrics_tell_how_late_changes_come(client: httpx.Client) -> None:
    append(client, "c", "one", "two")
    with events(client, "/contexts/c/events", params={"follow": False}) as stream:
        assert len([*stream]) == 2
    told = client.get("/metrics").text.splitlines()
    assert {'chatstore_lag_seconds_bucket{le="+Inf"} 2.0', "chatstore_lag_seconds_count 2.0"} <= {*told}
    assert "chatstore_changes_delivered_total 2.0" in told
    assert "# TYPE chatstore_lag_seconds histogram" in told


def test_metrics_count_the_writes_of_every_kind(client: httpx.Client) -> None:
    def writes() -> str:
        return next(line for line in client.get("/metrics").text.splitlines() if "commit_seconds_count" in line)

    append(client, "c", "one")
    assert writes().endswith(" 1.0")
    opened = client.post("/contexts/c/blocks", json={}).json()["id"]
    assert writes().endswith(" 2.0")
    piece = {"context_id": "c", "block_id": opened, "offset": 0, "text": "some"}
    assert client.post("/texts", json={"pieces": [piece]}).json() == {"answers": [{"length": 4}]}
    assert writes().endswith(" 3.0")
