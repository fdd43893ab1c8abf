"""A conversation of any length scrolls as a short one does."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from data_support import report
from page_support import Server, long_history

if TYPE_CHECKING:
    from playwright.sync_api import CDPSession, Page

pytestmark = pytest.mark.slow

INDEXES = """() => [...document.querySelectorAll('#flow article .anchor')]
    .map((one) => Number(one.title.match(/block (\\d+)/)[1]))"""
FRAMES = """() => { window.frames_seen = []; let last = performance.now()
    const step = (now) => { window.frames_seen.push(now - last); last = now; requestAnimationFrame(step) }
    requestAnimationFrame(step) }"""


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("count", "quiet"), [(5_000, False), pytest.param(20_000, True, marks=[pytest.mark.timed, pytest.mark.soak])]
)
def test_thousands_of_blocks_scroll_without_a_stutter(
    visit: Any, server: Server, path: Path, count: int, quiet: bool
) -> None:
    """How much a frame has to do is judged anywhere, when it came only on a machine that does nothing else."""
    ids = long_history(path, count)
    page: Page = visit(server, "long", raw=False, viewport={"width": 1280, "height": 800})
    page.wait_for_selector(f"#b-{ids[-1]}")
    opened = page.evaluate("() => performance.now()")
    page.evaluate(FRAMES)
    measured = page.context.new_cdp_session(page)
    measured.send("Performance.enable", {"timeDomain": "threadTicks"})
    before = metrics(measured)
    seen, most = scroll_to_the_top(page)
    frames = page.evaluate("() => window.frames_seen")
    spent = {name: value - before[name] for name, value in metrics(measured).items()}
    nodes = page.evaluate("() => document.querySelectorAll('*').length")
    heap = page.evaluate("() => performance.memory.usedJSHeapSize") / 1e6
    late = statistics.quantiles(frames, n=100)
    busy = spent["TaskDuration"] * 1_000 / len(frames)
    layouts = spent["LayoutCount"] / len(frames)
    report(
        f"the page opens {count:,} blocks in {opened:,.0f} ms; scrolled through all in {len(frames):,} frames:"
        f" median {late[49]:.0f} ms, p99 {late[98]:.0f} ms, longest {max(frames):.0f} ms; for each its thread worked"
        f" {busy:.1f} ms, with {layouts:.1f} layouts;"
        f" at most {most} blocks and at the end {nodes:,} elements on the page, {heap:.0f} MB"
    )
    assert seen == count, "every block was on the page"
    assert most < 400
    assert nodes < 5_000
    assert 0 < layouts < 2
    if quiet:
        assert 0 < busy < 12, "of the 16.7 ms that a frame has"
        assert late[49] < 20
        assert late[98] < 60
        assert max(frames) < 300


def metrics(measured: CDPSession) -> dict[str, float]:
    """What the page's thread has done, times in seconds of its own."""
    return {one["name"]: one["value"] for one in measured.send("Performance.getMetrics")["metrics"]}


def scroll_to_the_top(page: Page) -> tuple[int, int]:
    """How many blocks were on the page, and the most at one time; the test's own timeout ends it."""
    page.mouse.move(800, 400)
    seen: set[int] = set()
    most = 0
    while 0 not in seen:
        page.mouse.wheel(0, -1_600)
        page.wait_for_timeout(16)
        shown = page.evaluate(INDEXES)
        seen.update(shown)
        most = max(most, len(shown))
    return len(seen), most
