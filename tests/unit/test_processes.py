"""Whether another process on this machine lives."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from chatstore import processes

linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to tell processes apart")


@pytest.fixture
def child() -> subprocess.Popen[bytes]:
    """A process that waits for the end of its input."""
    return subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)


def end(child: subprocess.Popen[bytes]) -> None:
    assert child.stdin is not None
    child.kill()
    child.stdin.close()
    child.wait(10)


def test_this_process_lives() -> None:
    assert not processes.is_gone(os.getpid(), processes.started(os.getpid()))


def test_a_process_is_gone_once_it_was_waited_for(child: subprocess.Popen[bytes]) -> None:
    start = processes.started(child.pid)
    assert not processes.is_gone(child.pid, start)
    end(child)
    assert processes.is_gone(child.pid, start)


@linux
def test_a_process_that_is_dead_and_not_waited_for_is_gone(child: subprocess.Popen[bytes]) -> None:
    start = processes.started(child.pid)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert processes.is_gone(child.pid, start)
    end(child)


@linux
def test_another_process_of_the_same_id_is_not_taken_for_it() -> None:
    assert processes.is_gone(os.getpid(), processes.started(os.getpid()) + 1)


@linux
def test_the_start_of_a_process_stays_as_it_is(child: subprocess.Popen[bytes]) -> None:
    assert processes.started(child.pid) == processes.started(child.pid) >= processes.started(os.getpid()) > 0
    end(child)


def test_without_a_known_start_a_living_process_is_not_gone() -> None:
    assert not processes.is_gone(os.getpid(), 0)


@linux
def test_a_process_of_somebody_else_lives() -> None:
    assert not processes.is_gone(1, processes.started(1))


def test_a_process_that_never_was_has_no_start() -> None:
    assert processes.started(2**22 + 1) == 0
    assert processes.is_gone(2**22 + 1, 0)


def test_a_machine_has_one_name_that_its_processes_share() -> None:
    code = "from chatstore import processes; print(processes.machine())"
    there = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    assert there.stdout.strip() == processes.machine() != ""
