"""Checksums are what they were when stores were written: another reckoning would have every block be damaged."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from chatstore.operations import checksums

BLOCK = (3, 7, b"\x01\x02", "message", "user", "me", "run-1", None, "Hello, Welt ✓", '{"a":1}', None, "[]", True, 5, 2)
CLOSED = (*BLOCK, "closed", None, 9, 1_700_000_000_000_000, 1_700_000_000_000_001)
RUN = (3, "run-1", None, "running", None, None, '{"tokens":1}', 1_700_000_000_000_000, None, 5)
REPLACED = (5 << 32) + 77


@pytest.mark.parametrize(
    ("function", "of", "written"),
    [
        (checksums.of_block, (9, 1, (*CLOSED, None)), 3498954443),
        (checksums.of_block, (9, 1, (*CLOSED, 4)), 4192590187),
        (checksums.of_run, (5, 8, (*RUN, None)), 1298784761),
        (checksums.of_run, (5, 8, (*RUN, 4)), 3208916391),
        (checksums.of_replaced, (9, REPLACED), 329746753),
        (checksums.replacing, (7, 9, REPLACED), 1416251520097189895),
        (checksums.of_text, (9, 7, 3, "é"), 801136797),
        (checksums.of_erasure, (12,), 1330857165),
        (checksums.of_left, (9, 1, 7), 841436693),
        (checksums.of_left, (9, 1, "run-1"), 3520725238),
        (checksums.of_history, ("c", None, None, 0, 0, None, 5, None), 3802114917),
        (checksums.of_history, ("c", '{"user":"u"}', "[]", 3, 2, 1, 5, 6), 742456623),
        (checksums.of_key, (3, "k", b"\x00\xff", 4, 2), 3036065199),
        (checksums.of_lease, ("m", 12, 34, 30), 1827742129),
        (checksums.of_info, ("pruned", "0"), 1741520986),
        (checksums.numbered, (7, 3), 12884901895),
    ],
)
def test_a_checksum_is_what_it_always_was(function: Callable[..., int], of: tuple[object, ...], written: int) -> None:
    assert function(*of) == written


def test_the_halves_of_a_checksum_are_of_its_row_and_of_what_it_replaced() -> None:
    assert checksums.halves(REPLACED) == (77, 5)
    assert checksums.halves(checksums.replacing(7, 9, REPLACED)) == (7, checksums.of_replaced(9, REPLACED))


def test_what_nobody_can_have_written_has_no_checksum() -> None:
    assert checksums.checked(checksums.of_info, "pruned", "0") == checksums.of_info("pruned", "0")
    assert checksums.checked(checksums.of_info, "pruned", "\ud800") is None
    assert checksums.checked(checksums.of_replaced, 9, None) is None
    assert checksums.checked(checksums.of_key, 3, "k", None, 4, 2) is None
