"""Every edge case is imported and comes back equal, or is refused with a reason; which, is said here."""

from __future__ import annotations

import base64
import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from data_support import canonical, data_files, records, report
from typer.testing import Result

UNDECODABLE = "not UTF-8: byte"
REFUSED = {
    "JSONTestSuite decoded: lone surrogate": "has a lone surrogate",
    "JSONTestSuite implementation-defined (i_) undecodable bytes": UNDECODABLE,
    "JSONTestSuite invalid JSON (n_) undecodable bytes": UNDECODABLE,
}
"""The categories that are refused, every record of them, and the reason; all others come back equal."""

_REFUSAL = re.compile(r"edge\.jsonl:(\d+): refused: (.*)")


@pytest.mark.slow
def test_every_edge_case_comes_back_equal_or_is_refused_with_its_reason(
    run: Callable[..., Result], tmp_path: Path
) -> None:
    cases = [record for file in data_files("edge_cases*.jsonl.gz") for record in records(file)]
    file = tmp_path / "edge.jsonl"
    file.write_bytes(b"".join(_line(case) + b"\n" for case in cases))
    imported = run("import", file)
    refused = {int(found[1]): found[2] for found in map(_REFUSAL.search, imported.stderr.splitlines()) if found}
    exported = {record["id"]: record["messages"] for record in map(json.loads, run("export").stdout.splitlines())}
    table: Counter[tuple[str, str]] = Counter()
    for number, case in enumerate(cases, 1):
        reason = REFUSED.get(case["category"])
        if reason is None:
            assert number not in refused, (case["id"], refused[number])
            assert canonical(exported[case["id"]]) == canonical(_messages(case)), case["id"]
        else:
            assert reason in refused[number], (case["id"], refused[number])
            assert case["id"] not in exported
        table[case["category"], reason or "equal"] += 1
    report(*_rows(table))
    assert imported.exit_code == 1
    assert len(refused) + len(exported) == len(cases) == 928
    assert sum(count for (_, verdict), count in table.items() if verdict != "equal") == 29


def _messages(case: dict[str, Any]) -> list[Any]:
    return case["messages"] if "messages" in case else [case["message"]]


def _line(case: dict[str, Any]) -> bytes:
    if "bytes_b64" in case:
        return base64.b64decode(case["bytes_b64"])
    return json.dumps({"id": case["id"], "messages": _messages(case)}).encode()


def _rows(table: Counter[tuple[str, str]]) -> list[str]:
    return [
        f"{count:4}  {category:62} {'equal' if verdict == 'equal' else f'refused: {verdict}'}"
        for (category, verdict), count in sorted(table.items(), key=lambda row: (row[0][1] == "equal", row[0]))
    ]
