"""Leases as others see them: by beats and by what this process saw, never by anybody's clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatstore.live.watch import LONGEST_GAP, Watch
from chatstore.operations.leases import Lease

LEASE = Lease(id=1, machine="there", pid=10, started=100, seconds=5, beats=0)


def always() -> bool:
    return True


def never() -> bool:
    return False


def watch(gone: tuple[int, int] | None = None) -> Watch:
    return Watch("here", lambda pid, started: (pid, started) == gone)


def look(
    watching: Watch, times: Iterable[float], lease: Lease = LEASE, can_write: Callable[[], bool] = always
) -> list[list[Lease]]:
    return [watching.expired([lease], now, can_write) for now in times]


def test_a_lease_that_stays_silent_for_longer_than_it_said_expires() -> None:
    assert look(watch(), [0, 1, 2, 3, 4, 5, 5.5]) == [[], [], [], [], [], [], [LEASE]]


def test_a_lease_that_is_renewed_lives() -> None:
    watching = watch()
    for beat in range(100):
        assert watching.expired([replace(LEASE, beats=beat // 4)], float(beat), always) == []


def test_one_beat_makes_up_for_any_silence_before() -> None:
    watching = watch()
    assert look(watching, [0, 1.5, 3, 4.5]) == [[]] * 4
    assert watching.expired([replace(LEASE, beats=1)], 6, always) == []
    assert look(watching, [7.5, 9, 10.5], replace(LEASE, beats=1)) == [[]] * 3


@given(gap=st.floats(10, 1e9))
def test_time_in_which_nobody_looked_does_not_count(gap: float) -> None:
    watching = watch()
    assert watching.expired([LEASE], 0, always) == []
    assert watching.expired([LEASE], gap, always) == []
    assert watching.expired([LEASE], 2 * gap, always) == []
    assert 2 * LONGEST_GAP < LEASE.seconds < 3 * LONGEST_GAP
    assert watching.expired([LEASE], 3 * gap, always) == [LEASE]


@given(start=st.floats(-1e9, 1e9))
def test_it_matters_not_what_the_clock_says_at_the_start(start: float) -> None:
    times = [start + second for second in range(7)]
    assert [bool(dead) for dead in look(watch(), times)] == [False] * 6 + [True]


@given(beats=st.lists(st.booleans(), min_size=1, max_size=60))
def test_a_lease_expires_exactly_after_so_long_without_a_beat(beats: list[bool]) -> None:
    watching, lease, silent = watch(), LEASE, 0
    watching.expired([lease], 0, always)
    for second, beat in enumerate(beats, start=1):
        lease, silent = (replace(lease, beats=lease.beats + 1), 0) if beat else (lease, silent + 1)
        assert bool(watching.expired([lease], float(second), always)) == (silent > lease.seconds)


@pytest.mark.parametrize(("machine", "dead"), [("here", True), ("there", False), ("", False)])
def test_a_process_that_is_gone_is_noticed_at_once_on_this_machine_alone(machine: str, dead: bool) -> None:
    lease = replace(LEASE, machine=machine)
    assert bool(watch(gone=(10, 100)).expired([lease], 0, always)) == dead


def test_another_process_of_the_same_id_is_not_the_one_that_is_gone() -> None:
    lease = replace(LEASE, machine="here")
    assert watch(gone=(10, 99)).expired([lease], 0, always) == []


def test_a_silent_lease_of_a_living_process_expires_too() -> None:
    lease = replace(LEASE, machine="here")
    assert [bool(dead) for dead in look(watch(), [0, 2, 4, 6], lease)] == [False, False, False, True]


def test_time_in_which_nobody_could_write_is_no_silence_and_the_holder_has_half_its_lease_afterwards() -> None:
    watching = watch()
    assert look(watching, range(100), can_write=never) == [[]] * 100
    assert [bool(dead) for dead in look(watching, range(100, 105))] == [False, False, False, False, True]


def test_whether_anybody_can_write_is_asked_once_in_a_look_and_only_where_some_are_silent_for_long() -> None:
    asked: list[bool] = []
    watching, others = watch(), [replace(LEASE, id=number) for number in range(5)]

    def ask() -> bool:
        asked.append(True)
        return True

    counts = []
    for now in range(5):
        watching.expired(others, now, ask)
        counts.append(len(asked))
    assert counts == [0, 0, 0, 1, 2]


def test_a_lease_that_was_away_and_comes_back_is_new() -> None:
    watching = watch()
    assert look(watching, [0, 2, 4]) == [[]] * 3
    assert watching.expired([], 6, always) == []
    assert look(watching, [8, 10]) == [[]] * 2


def test_each_lease_is_judged_by_itself() -> None:
    watching = watch()
    for second in range(6):
        assert watching.expired([LEASE, replace(LEASE, id=2, beats=second)], float(second), always) == []
    assert watching.expired([LEASE, replace(LEASE, id=2, beats=6)], 6.0, always) == [LEASE]
