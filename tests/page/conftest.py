"""A browser, and pages of it that must not complain."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from page_support import DEADLINE, Server

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page

Visit = Callable[..., "Page"]

_HARMLESS = (
    "Failed to load resource",
    "net::ERR_",
    "WebSocket connection to",
    "Input elements should have autocomplete",
)
"""What Chromium itself says of a server that is away; everything else fails the test."""


# Of a module, not of the session: while Playwright runs, no other event loop can be in its thread.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, without a window."""
    program = shutil.which("chromium")
    if program is None:
        assert "CI" not in os.environ, "Chromium is missing; install it: apt-get install chromium"
        pytest.skip("chromium is not installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def server(path: Path) -> Iterator[Server]:
    """A server of the test's store, in a process of its own."""
    with Server(path) as started:
        yield started


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Visit]:
    """Opens the page, in a browser of its own, at a conversation; the test fails if the page complains of anything.

    `raw` shows texts letter by letter, as they are stored. `clock` lets the test set the time.
    """
    complaints: list[str] = []
    with ExitStack() as opened:

        def open_page(
            server: Server,
            context_id: str | None = None,
            *,
            port: int | None = None,
            raw: bool = True,
            clock: bool = False,
            **options: Any,
        ) -> Page:
            context = chromium.new_context(**options)
            opened.callback(context.close)
            context.set_default_timeout(DEADLINE * 1000)
            if raw:
                context.add_init_script("localStorage.setItem('chatstore.raw', 'true')")
            context.add_init_script(
                "addEventListener('securitypolicyviolation',"
                " (event) => console.error('refused by the policy:', event.violatedDirective, event.blockedURI))"
            )
            page = context.new_page()
            page.on("pageerror", lambda error: complaints.append(f"{error}\n{error.stack}"))
            page.on("console", lambda said: _hear(said, complaints))
            if clock:
                page.clock.install()
            page.goto(server.link.replace(f":{server.port}/", f":{port or server.port}/"))
            if context_id is not None:
                page.evaluate("given => { location.hash = new URLSearchParams({c: given}) }", context_id)
            return page

        yield open_page
    assert not complaints, "\n".join(complaints)


def _hear(said: ConsoleMessage, complaints: list[str]) -> None:
    if said.type in ("error", "warning") and not any(known in said.text for known in _HARMLESS):
        complaints.append(f"{said.type}: {said.text} {said.location}")
