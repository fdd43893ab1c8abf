"""A store that is worked with at random, and dies at random, does what a few dicts do.

`--hypothesis-seed=N` repeats a run; Hypothesis prints the steps of a failure, and a line `@reproduce_failure` to put
on the machine.
"""

from __future__ import annotations

import re
import secrets
from pathlib import Path
from typing import Any

import pytest
from data_support import report
from hypothesis import HealthCheck, Phase, core, reproduce_failure, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from machine.crashing import WholeMachine
from machine.lives import Lives
from machine.model import History, Plain, Seen

SYNCS_NOTHING = {"durability": "token"}
"""For speed, and in memory where there is such a room: what is synced makes no difference to a process that dies."""
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None


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


def made(lives: Lives, options: Plain, number: int, **changed: Any) -> type[WholeMachine]:
    """A machine that works through these lives."""
    room = MEMORY if options == SYNCS_NOTHING else None
    machine = type("Machine", (WholeMachine,), {"lives": lives, "options": options, "room": room, **changed})
    return seed(number)(machine)


def seed_of_this_run() -> int:
    return secrets.randbits(32) if core.global_force_seed is None else int(core.global_force_seed)


@pytest.mark.parametrize(
    ("face", "options", "examples", "steps"),
    [
        ("sync", SYNCS_NOTHING, 30, 30),
        ("async", SYNCS_NOTHING, 30, 30),
        ("sync", {}, 10, 30),
        *(
            pytest.param(*size, marks=[pytest.mark.slow, pytest.mark.timeout(3_000)])
            for size in (
                ("sync", SYNCS_NOTHING, 300, 50),
                ("async", SYNCS_NOTHING, 300, 50),
                ("sync", {}, 300, 50),
            )
        ),
    ],
)
def test_a_store_does_what_dicts_do_and_survives_what_kills_its_process(
    face: str, options: Plain, examples: int, steps: int
) -> None:
    number = seed_of_this_run()
    report(f"--hypothesis-seed={number}")
    with Lives(face) as lives:
        run(made(lives, options, number), examples, steps)
        report(
            f"{face} {options}: {examples} examples of up to {steps} steps, {lives.told:,} calls, {lives.count} lives"
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


@pytest.mark.parametrize("wrong", [ForgetsTags, GivesTextTwice, LosesTheLast])
def test_a_difference_is_found_and_the_seed_or_the_printed_line_finds_it_again(
    wrong: type[History], capsys: pytest.CaptureFixture[str]
) -> None:
    with Lives("sync") as lives:
        found = [failure(made(lives, SYNCS_NOTHING, 1, model=wrong), capsys) for _ in range(2)]
        assert steps_of(found[0]) == steps_of(found[1]) != []
        printed = re.search(r"@reproduce_failure\('(.+)', b'(.+)'\)", found[0])
        assert printed is not None
        machine = reproduce_failure(printed[1], printed[2].encode())(made(lives, SYNCS_NOTHING, 2, model=wrong))
        assert steps_of(failure(machine, capsys)) == steps_of(found[0])


def failure(machine: type[WholeMachine], capsys: pytest.CaptureFixture[str]) -> str:
    """What Hypothesis says of the failure of a machine."""
    with pytest.raises((AssertionError, KeyError)) as failed:
        run(machine, 200, 50, phases=[Phase.generate], report_multiple_bugs=False)
    return "\n".join([capsys.readouterr().out, *getattr(failed.value, "__notes__", ())])


def steps_of(said: str) -> list[str]:
    return [line.split("(")[0] for line in said.splitlines() if line.lstrip().startswith("state.")]
