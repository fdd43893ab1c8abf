"""Requests that hold much: bounded, and nobody else waits for them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import httpx
import pytest
from http_support import Served, problem

from chatstore import AsyncChatStore, BlockDraft
from chatstore.errors import LimitExceeded
from chatstore.server import ServerLimits


def slowest_meanwhile(served: Served, work: Callable[[], object]) -> float:
    """The longest that somebody else waits while some work is done."""
    other = served.client()
    working = threading.Thread(target=work)
    working.start()
    longest = 0.0
    while working.is_alive():
        begun = time.monotonic()
        assert other.get("/healthz").status_code == 200
        longest = max(longest, time.monotonic() - begun)
    working.join()
    return longest


@pytest.mark.slow
@pytest.mark.timed
@pytest.mark.parametrize(
    ("drafts", "status"),
    [
        ([{"text": "x"}] * 10_000, 201),
        ([{"text": "x"}] * 100_000, 413),
        ([{"parts": [{"type": "text", "text": "x"}] * 900}] * 400, 201),
        ([{"text": "x"}] * 99_999 + [{"text": 1}], 422),
    ],
)
def test_nobody_waits_for_a_request_of_many_drafts(served: Served, drafts: list[object], status: int) -> None:
    answers: list[httpx.Response] = []
    client = served.client()
    longest = slowest_meanwhile(
        served, lambda: answers.append(client.post("/contexts/c/messages", json={"drafts": drafts}))
    )
    print(f"figure: {len(drafts):,} drafts: others wait {longest * 1000:.0f} ms at most")
    assert [answer.status_code for answer in answers] == [status], answers[0].text[:300]
    assert longest < 5


def test_more_blocks_than_one_request_appends_are_refused_with_what_to_do(
    serve: Callable[..., Served],
) -> None:
    client = serve(limits=ServerLimits(batch=3)).client()
    refused = problem(client.post("/contexts/c/messages", json={"drafts": [{"text": "x"}] * 4}), 413, "limit_exceeded")
    assert (refused["limit"], refused["value"]) == ("batch", 3)
    assert "send several" in refused["detail"]
    assert client.get("/store").json()["limits"]["batch"] == 3
    assert client.post("/contexts/c/messages", json={"drafts": [{"text": "x"}] * 3}).status_code == 201


async def test_a_program_is_told_how_many_a_server_takes(serve: Callable[..., Served]) -> None:
    served = serve(limits=ServerLimits(batch=3))
    async with AsyncChatStore(served.url, token=served.token()) as store:
        with pytest.raises(LimitExceeded) as refused:
            await store.history("c").append([BlockDraft(text="x")] * 4)
        assert (refused.value.limit, refused.value.value) == ("batch", 3)


def test_what_is_wrong_in_a_long_body_is_told_as_in_a_short_one(client: httpx.Client) -> None:
    for text in ("x", "x" * 300_000):
        refused = problem(client.post("/contexts/c/messages", json={"text": text, "rolle": "user"}), 422)
        assert "rolle: there is no such field here" in refused["detail"]
        assert text not in refused["detail"] or text == "x"
        answer = client.post(
            "/contexts/c/messages", content=f'{{"text": "{text}"', headers={"Content-Type": "application/json"}
        )
        problem(answer, 422)
