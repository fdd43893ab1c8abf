"""A store that is worked with at random, and dies at random, does what a few dicts do.

`--hypothesis-seed=N` repeats a run; Hypothesis prints the steps of a failure, and a line `@reproduce_failure` to put
on the machine.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import Any, TypeVar

import pytest
from data_support import report
from hypothesis import HealthCheck, Phase, core, reproduce_failure, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from machine.crashing import WholeMachine
from machine.lives import Lives
from machine.model import History, Plain, Seen
from machine.places import Files, Places, Server
from machine.served import Served, ServedMachine
from machine.twins import TwinMachine, Twins, TwoPlaces

pytestmark = pytest.mark.slow

M = TypeVar("M", bound=WholeMachine)

SYNCS_NOTHING = {"durability": "token"}
"""For speed, and in memory where there is such a room: what is synced makes no difference to a process that dies."""


def in_memory() -> Places:
    return Files()


def on_disk() -> Places:
    return Files(synced=True)


def run(machine: type[WholeMachine], examples: int, steps: int, **others: Any) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            **others,
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )


def made(
    machine: type[M], number: int, lives: Lives | Twins, places: Places, options: Plain, **changed: Any
) -> type[M]:
    """A machine that works through these lives."""
    given = {"lives": lives, "places": places, "options": options, **changed}
    return seed(number)(type("Machine", (machine,), given))


def seed_of_this_run() -> int:
    number = secrets.randbits(32) if core.global_force_seed is None else int(core.global_force_seed)
    report(f"--hypothesis-seed={number}")
    return number


def sizes(*cases: tuple[Any, ...], quick: int, patient: int = 15) -> list[Any]:
    """Cases with the examples and steps of a quick run, of a patient one, and of a whole one."""
    found: list[Any] = [(*case, quick, 30) for case in cases]
    for examples, mark in ((patient, []), (300, [pytest.mark.soak])):
        marks = [pytest.mark.slow, pytest.mark.timeout(3_000), *mark]
        found += [pytest.param(*case, examples, 50, marks=marks) for case in cases]
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("face", "places", "options", "examples", "steps"),
    [
        *sizes(("sync", in_memory, SYNCS_NOTHING), ("async", in_memory, SYNCS_NOTHING), quick=30),
        *sizes(("sync", on_disk, {}), ("sync", Server, {}), ("async", Server, {}), quick=10),
    ],
)
def test_a_store_does_what_dicts_do_and_survives_what_kills_its_process(
    face: str, places: Callable[[], Places], options: Plain, examples: int, steps: int
) -> None:
    number = seed_of_this_run()
    with closing(places()) as given, Lives(face, given.warm()) as lives:
        run(made(WholeMachine, number, lives, given, options), examples, steps)
        report(
            f"{face} {places.__name__} {options}: {examples} examples of up to {steps} steps, {lives.told:,} calls,"
            f" {lives.count} lives, 0 differences"
        )


@pytest.mark.parametrize(("face", "other", "examples", "steps"), sizes(("sync", "async"), quick=12))
def test_the_same_steps_have_the_same_answers_on_every_database(
    face: str, other: str, examples: int, steps: int
) -> None:
    number = seed_of_this_run()
    with (
        closing(Files()) as files,
        closing(Server()) as server,
        Lives(face, files.warm()) as first,
        Lives(other, server.warm()) as second,
    ):
        twins = Twins(first, second)
        run(made(TwinMachine, number, twins, TwoPlaces(files, server), SYNCS_NOTHING), examples, steps)
        report(
            f"{face} Files and {other} Server: {examples} examples of up to {steps} steps, {twins.compared:,} answers"
            " compared, 0 differences"
        )


@pytest.mark.slow
@pytest.mark.parametrize(("face", "examples", "steps"), sizes(("sync",), ("async",), quick=3, patient=10))
def test_a_store_at_a_server_does_the_same_and_survives_what_kills_the_server(
    face: str, examples: int, steps: int
) -> None:
    number = seed_of_this_run()
    with closing(Served()) as served, Lives(face, served.warm()) as lives:
        run(made(ServedMachine, number, lives, served, {}), examples, steps)
        report(
            f"{face} HTTP: {examples} examples of up to {steps} steps, {lives.told:,} calls, {lives.count} lives,"
            f" {served.kills} of the server killed, 0 differences"
        )


class ForgetsTags(History):
    """Wrong: tags are not stored."""

    def tagged(self, index: int, tag: tuple[str, str, Any]) -> tuple[Plain, ...]:
        return tuple(self.blocks[index]["tags"])


class GivesTextTwice(History):
    """Wrong: who resumes is given the text of open blocks again."""

    def _received(self, block: Plain, after: Seen | None) -> int:
        return 0


class LosesTheLast(History):
    """Wrong: a block that was acknowledged is gone when the process has died."""

    def selected(self, filters: Plain) -> list[Plain]:
        return super().selected(filters)[:-1]


@pytest.mark.slow
@pytest.mark.parametrize("wrong", [ForgetsTags, GivesTextTwice, LosesTheLast])
def test_a_difference_is_found_and_the_seed_or_the_printed_line_finds_it_again(
    wrong: type[History], capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(Files()) as places, Lives("sync", places.warm()) as lives:
        machine = partial(made, WholeMachine, lives=lives, places=places, options=SYNCS_NOTHING, model=wrong)
        found = [failure(machine(4), capsys) for _ in range(2)]
        assert steps_of(found[0]) == steps_of(found[1]) != []
        printed = re.search(r"@reproduce_failure\('(.+)', b'(.+)'\)", found[0])
        assert printed is not None
        again = reproduce_failure(printed[1], printed[2].encode())(machine(2))
        assert steps_of(failure(again, capsys)) == steps_of(found[0])


def failure(machine: type[WholeMachine], capsys: pytest.CaptureFixture[str]) -> str:
    """What Hypothesis says of the failure of a machine."""
    with pytest.raises((AssertionError, KeyError)) as failed:
        run(machine, 200, 50, phases=[Phase.generate], report_multiple_bugs=False)
    return "\n".join([capsys.readouterr().out, *getattr(failed.value, "__notes__", ())])


def steps_of(said: str) -> list[str]:
    return [line.split("(")[0] for line in said.splitlines() if line.lstrip().startswith("state.")]
