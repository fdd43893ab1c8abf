"""The endpoints of a store in somebody's own application, with its own idea of who may do what."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import httpx
import pytest
import uvicorn
from fastapi import Depends, FastAPI, Header, HTTPException, Request, WebSocketDisconnect
from fastapi.testclient import TestClient
from http_support import DEADLINE, append, events, problem
from starlette.requests import HTTPConnection
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from chatstore import AsyncChatStore
from chatstore.server import Access, Service, StoreRouter
from chatstore.server.serving import listening

PAGE = (Path(__file__).parents[2] / "docs" / "http.md").read_text(encoding="utf-8")


def application(path: Path) -> FastAPI:
    """An application that has users of its own: each has a context, named as the user is."""
    service = Service(AsyncChatStore(path))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with service.store:
            yield
            await service.close()

    async def authorize(connection: HTTPConnection) -> Access:
        user = connection.headers.get("x-user") or connection.cookies.get("user")
        if user is None:
            raise HTTPException(401, "log in")
        if user == "mallory":
            raise HTTPException(403, "no")
        return Access(subject=user, context_id=user, read=True, write=True)

    app = FastAPI(lifespan=lifespan)
    origins = ["https://app.example"]
    app.include_router(StoreRouter(service, authorize, origins=origins, parameters=["utm"]), prefix="/chat")
    return app


@pytest.fixture
def url(path: Path) -> Iterator[str]:
    """The application, served by uvicorn as it is."""
    ear = listening("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(application(path), log_config=None))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([ear])), name="served")
    thread.start()
    yield f"http://127.0.0.1:{ear.getsockname()[1]}/chat"
    server.should_exit = True
    thread.join(DEADLINE)
    ear.close()


@pytest.fixture
def ada(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, headers={"X-User": "ada"}, timeout=DEADLINE) as client:
        yield client


def test_a_user_of_the_application_writes_and_follows_its_own_context(ada: httpx.Client) -> None:
    with events(ada, "/contexts/ada/events") as stream:
        append(ada, "ada", "hello")
        assert next(stream).event == "block_added"
    with connect(f"ws{str(ada.base_url)[4:]}contexts/ada/events", additional_headers={"X-User": "ada"}) as socket:
        assert "heartbeat" in str(socket.recv(DEADLINE))
        assert "hello" in str(socket.recv(DEADLINE))


def test_what_its_dependency_does_not_allow_is_refused(ada: httpx.Client, url: str) -> None:
    append(ada, "ada", "hello")
    for path in ("/contexts", "/contexts/bob", "/contexts/bob/events", "/events", "/metrics"):
        problem(ada.get(path), 404, "not_found")
    problem(ada.delete("/contexts/ada"), 404, "not_found")
    problem(httpx.get(f"{url}/contexts/ada", timeout=DEADLINE), 401)
    problem(httpx.post(f"{url}/contexts/ada/messages", json={"text": "x"}, timeout=DEADLINE), 401)


@pytest.mark.parametrize(
    ("target", "headers", "status"),
    [
        ("/contexts/ada/events", {}, 401),
        ("/contexts/bob/events", {"X-User": "ada"}, 404),
        ("/events", {"X-User": "ada"}, 404),
        ("/contexts/~!/events", {"X-User": "ada"}, 422),
        ("/contexts/ada/events?after=x", {"X-User": "ada"}, 422),
        ("/contexts/ada/events?kind=x", {"X-User": "ada"}, 422),
    ],
)
def test_web_sockets_are_refused_with_a_status(url: str, target: str, headers: dict[str, str], status: int) -> None:
    with pytest.raises(InvalidStatus) as refused:
        connect(f"ws{url[4:]}{target}", additional_headers=headers, open_timeout=DEADLINE)
    assert refused.value.response.status_code == status


def test_mistakes_are_problems_here_too(ada: httpx.Client) -> None:
    problem(ada.post("/contexts/ada/messages", json={"txt": "x"}), 422, "invalid_input")
    problem(ada.get("/contexts/ada/messages", params={"limit": 0}), 422, "invalid_input")
    problem(ada.get("/contexts/ada"), 404, "not_found")
    form = {"Content-Type": "text/plain"}
    problem(ada.post("/contexts/ada/messages", content=b'{"text": "x"}', headers=form), 415, "unsupported_media_type")


def test_its_openapi_has_the_endpoints_below_their_prefix(ada: httpx.Client) -> None:
    paths = httpx.get(str(ada.base_url.copy_with(path="/openapi.json")), timeout=DEADLINE).json()["paths"]
    assert "/chat/contexts/{context}/messages" in paths
    assert "/tokens" not in "".join(paths), "an application of its own gives its own tokens"


def test_a_refusal_of_its_dependency_has_the_code_that_says_so(url: str) -> None:
    problem(httpx.get(f"{url}/contexts/ada", timeout=DEADLINE), 401, "unauthorized")
    problem(httpx.get(f"{url}/contexts/ada", headers={"X-User": "mallory"}, timeout=DEADLINE), 403, "forbidden")


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [({}, 401, "unauthorized"), ({"X-User": "mallory"}, 403, "forbidden"), ({"X-User": "eve"}, 404, "not_found")],
)
def test_a_socket_that_is_refused_is_answered_by_a_problem(
    url: str, headers: dict[str, str], status: int, code: str
) -> None:
    with (
        pytest.raises(InvalidStatus) as refused,
        connect(f"ws{url[4:]}/contexts/ada/events", additional_headers=headers),
    ):
        pass
    answer = refused.value.response
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert json.loads(bytes(answer.body or b""))["code"] == code


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1"])
def test_pages_of_other_origins_are_refused_though_the_browser_sends_cookies(url: str, origin: str) -> None:
    own = {"Cookie": "user=ada", "Origin": origin}
    problem(
        httpx.post(f"{url}/contexts/ada/messages", json={"text": "x"}, headers=own, timeout=DEADLINE),
        403,
        "wrong_origin",
    )
    problem(httpx.get(f"{url}/contexts/ada", headers=own, timeout=DEADLINE), 403, "wrong_origin")
    quiet = {"Cookie": "user=ada", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    problem(httpx.get(f"{url}/contexts/ada/events", headers=quiet, timeout=DEADLINE), 403, "wrong_origin")
    address = f"ws{url[4:]}/contexts/ada/events"
    with (
        pytest.raises(InvalidStatus) as refused,
        connect(address, additional_headers={"Cookie": "user=ada"}, origin=Origin(origin)),
    ):
        pass
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize("origin", ["https://app.example", None])
def test_pages_of_its_own_and_of_origins_that_it_names_are_served(url: str, origin: str | None) -> None:
    own = {"Cookie": "user=ada", "Origin": origin or url.removesuffix("/chat")}
    answer = httpx.post(f"{url}/contexts/ada/messages", json={"text": "x"}, headers=own, timeout=DEADLINE)
    assert answer.status_code == 201


def test_a_dependency_that_refuses_by_what_it_declares_answers_401(path: Path) -> None:
    async def authorize(x_user: Annotated[str, Header()]) -> Access:
        return Access(subject=x_user, context_id=x_user, read=True)

    service = Service(AsyncChatStore(path))
    app = FastAPI()
    app.include_router(StoreRouter(service, authorize))
    with TestClient(app) as client:
        problem(client.get("/contexts/ada/messages"), 401, "unauthorized")
        assert client.get("/contexts/ada/messages", headers={"X-User": "ada"}).status_code == 200
        assert client.portal is not None
        client.portal.call(service.close)
        client.portal.call(service.store.close)


def named_by_a_request(request: Request) -> str:
    return request.headers["x-user"]


def test_web_sockets_are_left_out_where_the_dependency_takes_requests_alone(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def authorize(name: Annotated[str, Depends(named_by_a_request)]) -> Access:
        return Access(subject=name, read=True)

    service = Service(AsyncChatStore(path))
    app = FastAPI()
    app.include_router(StoreRouter(service, authorize))
    assert "take an HTTPConnection" in caplog.text
    with TestClient(app, headers={"X-User": "ada"}) as client:
        assert client.get("/events", params={"wait": 0}).status_code == 200
        with pytest.raises(WebSocketDisconnect), client.websocket_connect("/events"):
            pass
        assert client.portal is not None
        client.portal.call(service.close)
        client.portal.call(service.store.close)


def test_a_parameter_that_the_application_reads_itself_is_let_through(ada: httpx.Client) -> None:
    append(ada, "ada", "x")
    assert ada.get("/contexts/ada/messages?utm=mail").status_code == 200
    problem(ada.get("/contexts/ada/messages?utn=mail"), 422)


def test_the_example_of_the_page_refuses_whoever_is_not_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    [code] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(code, "http.md", "exec"), names)
    app, store = names["app"], names["store"]
    assert isinstance(app, FastAPI)
    assert isinstance(store, AsyncChatStore)
    mine = "/chat/contexts/chat-of-ada"
    with TestClient(app) as client:
        for path in (mine, f"{mine}/events"):
            assert client.get(path).status_code == 401
        assert client.post(f"{mine}/messages", json={"text": "x"}).status_code == 401
        known = {"X-User": "ada"}
        assert client.post(f"{mine}/messages", json={"text": "x"}, headers=known).status_code == 201
        assert client.get(f"{mine}/messages", headers=known).json()["messages"][0]["text"] == "x"
        assert client.portal is not None
        client.portal.call(store.close)
