"""The page on scaling is true: its tables are what the model prints, and its Python runs."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import scaling
from benchmarks.scaling_model import Costs, Setting, simulate

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("table", scaling.TABLES, ids=lambda table: table.__name__)
def test_each_table_of_the_model_is_on_the_page(table: Callable[[], str]) -> None:
    assert table() in PAGE


def test_the_script_prints_them() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.scaling"], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert ran.returncode == 0, ran.stderr
    assert scaling.sizes() in ran.stdout


def test_it_draws_what_the_page_shows(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="it comes with the extra `benchmarks`")
    scaling.draw(tmp_path / "scaling.svg")
    assert (tmp_path / "scaling.svg").stat().st_size > 10_000
    assert "(scaling.svg)" in PAGE
    assert (ROOT / "docs" / "scaling.svg").exists()


def test_constants_are_told_as_they_are() -> None:
    costs, sizes = Costs(), scaling.SIZES
    for told in (
        f"the process {costs.client_commit:.0f} µs",
        f"the server {costs.server_commit:.0f} µs",
        f"in {costs.sync:.0f} µs",
        f"{costs.disk:.0f} MB/s",
        f"| {sizes.block_in_file:.0f} | {sizes.block_on_server:.0f} |",
        f"| {sizes.log_of_append:,.0f} |",
        f"| {sizes.log_of_token:.0f} |",
    ):
        assert told in PAGE, told


def test_its_python_puts_a_context_always_in_the_same_store(tmp_path: Path) -> None:
    [code] = PYTHON.findall(PAGE)
    made = re.sub(r"postgresql://app@(db\d)\.example/chat", lambda name: str(tmp_path / f"{name[1]}.db"), code)
    assert made != code
    names: dict[str, object] = {}
    exec(compile(made, "scaling.md", "exec"), names)
    stores = names["stores"]
    assert isinstance(stores, list)
    assert sorted(store.history("support-42").count() for store in stores) == [0, 1]
    for store in stores:
        store.close()


def test_the_model_keeps_to_what_limits_it() -> None:
    costs = Costs(client_commit=0, client_row=0, server_commit=0, server_row=0, client_shared=0, server_shared=0)
    alone = simulate(Setting(1, 1), costs)
    assert alone.commits == pytest.approx(1e6 / (costs.sync + costs.log / costs.disk), rel=0.01), "the disk"
    crowd = simulate(Setting(16, 1, cores=4, apart=True), Costs(sync=0, log=0))
    least = Costs().server_commit + Costs().server_row
    assert crowd.commits <= 4e6 / least, "the processors of the server"
    shared = simulate(Setting(16, 1, shared=True, cores=16, apart=True, trip=500.0))
    assert shared.commits <= 1e6 / 1_000, "a lock that is held over two trips"
