"""The checker finds what it is there for."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from checker import LATE, Sight, check_real_time, violations

CHANGES = [(f"cursor {number:03}", f"block {number}") for number in range(100)]
TOLD = {block: number * LATE for number, (_, block) in enumerate(CHANGES)}


def test_a_history_seen_once_in_order_and_in_time_is_right() -> None:
    assert violations(CHANGES, TOLD, sights_of_two_lives()) == []


def sights_of_two_lives() -> list[Sight]:
    """Each change half a second after its commit; those of a while in which nobody was there, when somebody came."""
    back = 60 * LATE
    first = [Sight(*CHANGES[n], 0, n * LATE + LATE // 2) for n in range(50)]
    then = [Sight(*CHANGES[n], back, max(n * LATE, back) + LATE // 2) for n in range(50, 100)]
    return [*first, *then]


def drop(seen: list[Sight], at: int) -> None:
    del seen[at]


def double(seen: list[Sight], at: int) -> None:
    seen.insert(at + 1, seen[at])


def come_again(seen: list[Sight], at: int) -> None:
    seen.append(seen[at])


def swap(seen: list[Sight], at: int) -> None:
    seen[at - 1 : at + 1] = seen[at], seen[at - 1]


def delay(seen: list[Sight], at: int) -> None:
    seen[at] = seen[at]._replace(at=seen[at].at + LATE)


def confuse(seen: list[Sight], at: int) -> None:
    seen[at] = seen[at]._replace(block="block of another")


@pytest.mark.parametrize(
    ("plant", "found"),
    [
        (drop, ["gap"]),
        (double, ["duplicate"]),
        (come_again, ["duplicate"]),
        (swap, ["reordered"]),
        (delay, ["late"]),
        (confuse, ["unasked", "gap"]),
    ],
)
def test_what_is_planted_in_a_history_is_found_wherever_it_is(
    plant: Callable[[list[Sight], int], None], found: list[str]
) -> None:
    for at in range(1, len(CHANGES)):
        seen = sights_of_two_lives()
        plant(seen, at)
        assert [one.split(":")[0].split(" ")[0] for one in violations(CHANGES, TOLD, seen)] == found, at


def test_the_time_that_the_machine_did_not_give_is_no_lateness_and_no_more_than_that() -> None:
    sights = sights_of_two_lives()
    delay(sights, 7)
    begun, ended = TOLD["block 7"], sights[7].at
    half = (ended - begun - LATE) // 2
    before = (begun - LATE, begun + half)
    assert violations(CHANGES, TOLD, sights, [before, (ended - half, ended + LATE)]) == []
    assert len(violations(CHANGES, TOLD, sights, [before, (ended - half + 1, ended + LATE)])) == 1


def test_of_many_at_once_each_is_found() -> None:
    seen = sights_of_two_lives()
    for at in sorted(random.Random(1).sample(range(2, 99), 20), reverse=True):
        drop(seen, at)
    assert len(violations(CHANGES, TOLD, seen)) == 20
    assert len(violations(CHANGES, TOLD, [])) == len(CHANGES)


def test_an_append_that_stands_before_one_acknowledged_earlier_is_found() -> None:
    reports = [{"begun": 10 * n, "ended": 10 * n + 5, "stored": [(n, f"block {n}", "text")]} for n in range(10)]
    check_real_time(reports)
    reports[3]["stored"], reports[4]["stored"] = reports[4]["stored"], reports[3]["stored"]
    with pytest.raises(AssertionError, match="behind one that began after it ended"):
        check_real_time(reports)
