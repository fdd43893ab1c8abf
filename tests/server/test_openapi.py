"""The server does what its OpenAPI says, whatever it is sent: Schemathesis makes up requests, by its word and against
it, and checks every answer: no error of the server's own, only statuses and content types that are described, bodies
that fit their schemas, and nothing taken that does not fit."""

from __future__ import annotations

import base64
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import schemathesis
from data_support import FIGURE
from fastapi.routing import iter_route_contexts
from http_support import Served, append
from hypothesis import HealthCheck, assume, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from requests.exceptions import ChunkedEncodingError
from schemathesis import APIOperation, Case, Config, GenerationMode
from schemathesis.checks import CHECKS

from chatstore.server import ServerLimits

pytestmark = pytest.mark.slow

QUICK_CASES = 75
SPARE = 1.3
"""Of some endpoints there are fewer cases than are asked for."""
MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
LIMITS = ServerLimits(lease=0.3, wait=0.05, rate=1e9)
REFUSED = ["400", "401", "404", "405", "408", "409", "410", "412", "413", "414", "415", "422"]
TAKEN = ["2xx", "404", "409", "410", "412", "413", "414", "422"]
"""What fits may still be refused: a cursor may be of another context, an id of nothing, a context be erased."""
CONFIG = {
    "checks": {
        "negative_data_rejection": {"expected-statuses": REFUSED},
        "positive_data_acceptance": {"expected-statuses": TAKEN},
    }
}
PNG = {"type": "image", "mime_type": "image/png", "content": base64.b64encode(b"png").decode()}


class Api:
    """A server with something in it, and its endpoints as they are described."""

    def __init__(self, served: Served) -> None:
        self.served = served
        client = served.client()
        [block] = client.post("/contexts/c/messages", json={"text": "x", "parts": [PNG]}).json()["blocks"]
        run = client.post("/contexts/c/runs", json={}).json()["id"]
        opened = client.post("/contexts/c/blocks", json={}).json()["id"]
        append(client, "c", *"abc")
        self.known = {
            "context": ["c"],
            "block": [block["id"], opened],
            "run": [run],
            "digest": [block["parts"][0]["digest"]],
        }
        description = client.get("/openapi.json").json()
        for operations in description["paths"].values():
            for operation in operations.values():
                operation.pop("security", None)  # who may ask is the matter of test_access_matrix
        self.sent = 0
        self.schema = schemathesis.openapi.from_dict(description, config=Config.from_dict(CONFIG))
        self.schema.config.base_url = served.url

    def try_out(self, operation: APIOperation, mode: GenerationMode, cases: int) -> None:
        """Sends so many requests to an endpoint, or as many as there are."""

        @seed(len(operation.label))
        @settings(max_examples=cases, deadline=None, database=None, suppress_health_check=[*HealthCheck])
        @given(operation.as_strategy(generation_mode=mode), st.data())
        def send(case: Case, data: st.DataObject) -> None:
            if mode is GenerationMode.POSITIVE:
                self._name_what_is_there(case, data)
            else:
                assume(not _is_repeated(case))
            _end_soon(case)
            headers = {"Authorization": f"Bearer {self.served.token()}"}
            self.sent += 1
            with suppress(*_ends_of(case)):
                case.call_and_validate(headers=headers, timeout=20)

        with suppress(Unsatisfiable):  # every value of some paths is fine
            send()

    def _name_what_is_there(self, case: Case, data: st.DataObject) -> None:
        if case.method == "DELETE":
            return
        for name in case.path_parameters or {}:
            if data.draw(st.booleans()):
                case.path_parameters[name] = data.draw(st.sampled_from(self.known[name]))


def _is_repeated(case: Case) -> bool:
    """Whether a parameter that has one value is given several: the last one is taken."""
    single = {one.name for one in case.operation.query if "array" not in str(one.definition)}
    return any(isinstance(value, list) for name, value in (case.query or {}).items() if name in single)


def _ends_of(case: Case) -> tuple[type[Exception], ...]:
    """How an answer may end that is told as Ragna tells one: whole, or else broken off."""
    return (ChunkedEncodingError,) if case.path.endswith(("/lines", "/answer")) else ()


def _end_soon(case: Case) -> None:
    """Has a stream end by itself, where it would go on for ever."""
    if case.path.endswith("/events") and isinstance(case.query, dict):
        case.query.setdefault("timeout", 0.05)
    if case.path.endswith("/events/search") and isinstance(case.body, dict):
        case.body.setdefault("timeout", 0.05)
    if isinstance(case.query, dict) and case.query.get("live") == "sse":
        case.query["live"] = "long-poll"


@pytest.fixture
def api(serve: Callable[..., Served]) -> Api:
    return Api(serve(limits=LIMITS))


def exercised(api: Api, cases: int) -> None:
    operations = [found.ok() for found in api.schema.get_all_operations()]
    takes_nothing = [one for one in operations if not (one.query or one.path_parameters or one.body)]
    asked = [(one, mode) for one in operations for mode in MODES if one not in takes_nothing or mode is MODES[0]]
    for operation, mode in asked:
        api.try_out(operation, mode, max(1, round(SPARE * cases / len(asked))))


@pytest.mark.slow
def test_the_server_does_what_its_openapi_says(api: Api) -> None:
    wanted = {"response_schema_conformance", "status_code_conformance", "content_type_conformance"}
    assert wanted | CONFIG["checks"].keys() <= {*CHECKS.get_all_names()}
    exercised(api, QUICK_CASES)


@pytest.mark.slow
@pytest.mark.timeout(1_200)
@pytest.mark.parametrize("cases", [200, pytest.param(2_000, marks=pytest.mark.soak)])
def test_the_server_does_what_its_openapi_says_in_many_cases(api: Api, cases: int) -> None:
    exercised(api, cases)
    print(f"{FIGURE} Schemathesis: {api.sent:,} requests to {len([*api.schema.get_all_operations()])} endpoints")
    assert api.sent >= cases


def test_every_endpoint_is_described(api: Api) -> None:
    described = {
        f"{method.upper()} {path}"
        for path, operations in api.schema.raw_schema["paths"].items()
        for method in operations
    }
    routes = (route for route in iter_route_contexts(api.served.app.routes) if getattr(route, "methods", None))
    endpoints = {f"{method} {route.path}" for route in routes for method in route.methods or ()}
    hidden = {"GET /", "GET /openapi.json", "HEAD /openapi.json"}
    assert described == endpoints - hidden


def test_every_endpoint_says_what_it_is_for(api: Api) -> None:
    description = api.served.client().get("/openapi.json").json()
    found: list[dict[str, Any]] = [
        operation for operations in description["paths"].values() for operation in operations.values()
    ]
    assert not [operation["operationId"] for operation in found if not operation.get("description")]
    assert len({operation["operationId"] for operation in found}) == len(found)
    open = [operation["operationId"] for operation in found if "security" not in operation]
    assert sorted(name.partition("_")[0] for name in open) == ["healthz", "readyz"]
