"""`chatstore demo`, run as people run it: a process of its own, in a directory of its own."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from chatstore import ChatStore
from chatstore.cli.demo import PYTHON

pytestmark = pytest.mark.slow

DEMO = (sys.executable, "-P", "-c", "from chatstore.cli import main; main()", "demo")  # -P: as the console script
DEADLINE = 60
CHANGE = re.compile(r"^ +-?\d+\.\d ms  …(\d{6}) +(\d*) ?(\w+) +(.*)$", re.MULTILINE)

LONG = "import os\nimport re\n\n\nclass A:\n    def f(self):\n        x = 1\n        return x\n"

Demo = subprocess.Popen[str]


class Kept(NamedTuple):
    """A demo that was run to its end with `--store`."""

    sources: Path
    store: Path
    output: str


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    return make_sources(tmp_path / "sources")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    directory = tmp_path_factory.mktemp("kept")
    made = make_sources(directory / "sources")
    done = run(str(made), "--store", "kept.db", cwd=directory)
    assert (done.returncode, done.stderr) == (0, "")
    return Kept(made, directory / "kept.db", done.stdout)


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """An empty directory to run in."""
    directory = tmp_path / "empty"
    directory.mkdir()
    return directory


@pytest.fixture
def started(sources: Path, empty: Path, tmp_path: Path) -> Iterator[Demo]:
    """A demo whose temporary files go to `tmp_path/temporary`, while it runs."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    environment = {**os.environ, "TMPDIR": str(temporary)}
    pipe = subprocess.PIPE
    command = [*DEMO, str(sources)]
    with subprocess.Popen(command, cwd=empty, env=environment, stdout=pipe, stderr=pipe, text=True) as process:
        yield process
        process.kill()


def make_sources(directory: Path) -> Path:
    """A directory of Python files whose sizes and functions are known."""
    (directory / "inner").mkdir(parents=True)
    (directory / "long.py").write_text(LONG)
    (directory / "inner" / "short.py").write_text("import os\n\ndef g(): pass\n")
    (directory / "broken.py").write_text("def (:\n")
    (directory / "notes.txt").write_text("not Python\n" * 100)
    return directory


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*DEMO, *arguments],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )


def wait_for_the_agent(demo: Demo) -> int:
    """Reads up to the first change; the agent's process id."""
    assert demo.stdout is not None
    agent = None
    for line in demo.stdout:
        if " writes: " in line:
            agent = int(line.split()[1])
        if CHANGE.match(line):
            break
    assert agent is not None
    return agent


def read_all(terminal: int) -> str:
    """What is written to a terminal until its other end is closed, which Linux reports as an error."""
    read = b""
    with contextlib.suppress(OSError):
        while piece := os.read(terminal, 65536):
            read += piece
    os.close(terminal)
    return read.decode()


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_it_follows_every_block_of_the_other_process_in_order(kept: Kept) -> None:
    changes = CHANGE.findall(kept.output)
    cursors = [int(cursor) for cursor, *_ in changes]
    assert cursors == sorted(set(cursors))
    added = [int(index) for _, index, _, words in changes if index and not words.startswith("complete: ")]
    assert added == list(range(len(added)))
    assert {label for *_, label, _ in changes} == {"run", "user", "status", "call", "result", "assistant"}
    assert re.search(
        r"^\d+ changes, \d+ of them text that grew: none missing, none twice\.$", kept.output, re.MULTILINE
    )
    assert "\x1b" not in kept.output


def test_the_answers_grow_below_their_line(kept: Kept) -> None:
    with ChatStore(kept.store) as store:
        history = store.history(store.contexts()[0].context_id)
        answers = history.get_messages(kind="transcript", roles=["assistant"])
        assert [run.state for run in history.runs()] == ["completed", "completed"]
        assert {block.run_id for block in history.get_messages()} == {run.id for run in history.runs()}
    for answer in answers:
        grown = "".join(f"\n         {line}" for line in answer.text.split("\n"))
        assert re.search(rf" {answer.index} assistant [^\n]*{re.escape(grown)}\n.* complete: ", kept.output)


def test_what_the_agent_says_is_computed_from_the_files(kept: Kept) -> None:
    with ChatStore(kept.store) as store:
        (context,) = store.contexts()
        history = store.history(context.context_id)
        sizes, imports = history.get_messages(kind="transcript", roles=["assistant"])
        assert sizes.text == (
            "long.py: 8 lines; longest: A.f (3 lines)\n"
            "inner/short.py: 3 lines; longest: g (1 lines)\n"
            "broken.py: 1 lines; longest: no function"
        )
        assert imports.text == "os (2 files), re (1 files)"
        (failed,) = (one for one in history.get_messages(types=["function_result"]) if one.data["is_error"])
        assert "SyntaxError" in failed.text
        calls = {call.id for call in history.get_messages(types=["function_call"])}
        assert {result.parent_id for result in history.get_messages(types=["function_result"])} == calls
        assert history.count() > history.count(kind="prompt") > history.count(kind="transcript")
    assert f"chatstore show {context.context_id} --store" in kept.output


@pytest.mark.slow
def test_another_run_in_a_kept_store_is_a_conversation_of_its_own(kept: Kept, tmp_path: Path) -> None:
    shutil.copy(kept.store, tmp_path / "copy.db")
    assert run(str(kept.sources), "--store", "copy.db", cwd=tmp_path).returncode == 0
    with ChatStore(tmp_path / "copy.db") as store:
        first, second = store.contexts()
        assert first.count == second.count


@pytest.mark.slow
def test_it_reads_pythons_own_sources_and_keeps_nothing_unless_told_otherwise(empty: Path) -> None:
    done = run(cwd=empty)
    assert (done.returncode, done.stderr) == (0, "")
    assert "os (" in done.stdout
    assert list(empty.iterdir()) == []


@pytest.mark.slow
def test_a_module_in_the_current_directory_is_not_imported(empty: Path, sources: Path) -> None:
    (empty / "json.py").write_text("raise SystemExit('imported by accident')\n")
    (empty / "chatstore.py").write_text("raise SystemExit('imported by accident')\n")
    assert run(str(sources), cwd=empty).returncode == 0


@pytest.mark.slow
def test_a_directory_without_python_files_is_answered_too(empty: Path) -> None:
    done = run(".", cwd=empty)
    assert done.returncode == 0, done.stderr
    assert "There are none." in done.stdout


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="such names do not exist there")
def test_a_file_name_with_control_sequences_does_not_reach_the_terminal(empty: Path, sources: Path) -> None:
    (sources / "\x1b]0;owned\x07.py").write_text("\n" * 99)
    (sources / os.fsdecode(b"\xff.py")).write_text("\n" * 98)
    done = run(str(sources), cwd=empty)
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout and "\x07" not in done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are POSIX")
def test_it_fits_a_terminal_of_80_columns(sources: Path, empty: Path) -> None:
    import termios

    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")}
    command = [*DEMO, str(sources)]
    with subprocess.Popen(command, cwd=empty, env={**environment, "TERM": "xterm"}, stdin=theirs, stdout=theirs):
        os.close(theirs)
        shown = read_all(ours)
    assert "\x1b[1m" in shown
    lines = [re.sub(r"\x1b\[[0-9;]*[mGK]", "", line) for line in shown.splitlines()]
    assert sum(bool(CHANGE.match(line)) for line in lines) > 10
    assert [line for line in lines if len(line) > 80 and str(sources) not in line and ".db" not in line] == []


def test_a_path_that_is_no_directory_is_wrong_usage(empty: Path) -> None:
    done = run("nowhere", cwd=empty)
    assert done.returncode == 2
    assert "nowhere is not a directory" in done.stderr and "Traceback" not in done.stderr


def test_a_store_that_cannot_be_opened_is_refused_before_anything_starts(empty: Path, sources: Path) -> None:
    (empty / "notes.txt").write_text("not a store\n" * 100)
    done = run(str(sources), "--store", "notes.txt", cwd=empty)
    assert done.returncode == 1
    assert "notes.txt" in done.stderr and "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopping_it_ends_both_processes(started: Demo, tmp_path: Path, number: signal.Signals) -> None:
    agent = wait_for_the_agent(started)
    started.send_signal(number)
    _, complaints = started.communicate(timeout=DEADLINE)
    assert started.returncode == 128 + number
    assert complaints == "stopped, and the agent's process with it\n"
    assert not is_running(agent)
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_an_agent_that_dies_ends_the_demo_with_what_happened(started: Demo, tmp_path: Path) -> None:
    os.kill(wait_for_the_agent(started), signal.SIGKILL)
    _, complaints = started.communicate(timeout=DEADLINE)
    assert started.returncode == 1
    assert complaints == "error: the agent's process was ended by signal 9\n"
    assert list((tmp_path / "temporary").iterdir()) == []


def test_a_reader_that_leaves_ends_both_processes(started: Demo, tmp_path: Path) -> None:
    agent = wait_for_the_agent(started)
    assert started.stdout is not None and started.stderr is not None
    started.stdout.close()
    assert started.stderr.read() == ""
    started.wait(DEADLINE)
    assert not is_running(agent)
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.slow
def test_the_python_it_shows_does_the_same(empty: Path) -> None:
    imported, *parts = PYTHON.split("# In")
    follow, write, read = (f"{imported}# In{part}" for part in parts)
    assert "timeout=30" in follow
    subprocess.run([sys.executable, "-c", write], cwd=empty, timeout=DEADLINE, check=True)
    followed = python(follow.replace("timeout=30", "timeout=0.5"), empty).splitlines()
    assert [line.split(maxsplit=1)[1] for line in followed if line] == [
        "message Which file is the largest?",
        "status Counting lines",
        'function_call {"count":1}',
        "function_result core.py: 102 lines",
        "message core.py is, with 102 lines.",
    ]
    assert python(f"{read}\nprint(len(transcript), len(trace))", empty) == "2 5\n"


def python(code: str, directory: Path) -> str:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=DEADLINE, check=True).stdout
