"""`chatstore demo`: an agent writes in a second process, this one follows it."""

from __future__ import annotations

import os
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from secrets import token_hex
from statistics import median
from typing import Annotated

import typer
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from chatstore import collect
from chatstore.changes import (
    BlockAdded,
    BlockChange,
    BlockClosed,
    Change,
    HistoryErased,
    RunChange,
    RunEnded,
    RunStarted,
    TextAppended,
)
from chatstore.cli.growing import GrowingText
from chatstore.cli.options import of_this_machine
from chatstore.cli.output import Output
from chatstore.cli.render import compact_call, style_of, tag_text
from chatstore.cli.running import ended_by, note
from chatstore.cli.safe import one_line, printable, shell_word
from chatstore.cli.stopping import StopSignals
from chatstore.demo.agent import PACE
from chatstore.demo.process import AgentFailed, AgentProcess, agent_command
from chatstore.history import History
from chatstore.model import Block
from chatstore.store import ChatStore

PYTHON = """\
from chatstore import BlockAdded, ChatStore, TextAppended

# In one process: follow. It ends after 30 seconds without a change.
with ChatStore("chat.db") as store:
    for change in store.history("demo").subscribe(timeout=30):
        match change:
            case BlockAdded(block=block):
                print(f"\\n{change.cursor} {block.type}", block.text, end="")
            case TextAppended():
                print(change.text, end="", flush=True)

# In another: write.
with ChatStore("chat.db") as store:
    history = store.history("demo")
    with history.run():
        history.append_user_message("Which file is the largest?")
        history.append_status_message("Counting lines")
        call = history.append_function_call("largest_files", {"count": 1})
        history.append_function_result("core.py: 102 lines", call=call)
        with history.open_message() as answer:
            for token in ("core.py ", "is, ", "with ", "102 ", "lines."):
                answer.write(token)

# In any: read by purpose.
with ChatStore("chat.db") as store:
    transcript = store.history("demo").get_messages(kind="transcript")
    trace = store.history("demo").get_messages(kind="trace")
"""


def demo_command(
    directory: Annotated[
        Path | None,
        typer.Argument(
            metavar="DIRECTORY",
            help="Whose Python files the agent reads; Python's own library unless given.",
            show_default=False,
        ),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(metavar="STORE", help="Keep the conversation, in this store.", show_default=False),
    ] = None,
) -> None:
    """Shows two processes at work: an agent writes, this one follows it live."""
    sources = _sources(directory)
    if store is not None:
        of_this_machine(store, "demo")
    with StopSignals() as stop, _opened(store) as opened:
        _show(Output(), stop, opened, sources, kept=store)


@contextmanager
def _opened(location: str | None) -> Iterator[ChatStore]:
    if location is not None:
        with ChatStore(location) as store:
            yield store
        return
    with tempfile.TemporaryDirectory(prefix="chatstore-demo-") as directory, ChatStore(f"{directory}/demo.db") as store:
        yield store


def _sources(directory: Path | None) -> str:
    chosen = Path(sysconfig.get_path("stdlib")) if directory is None else directory
    if not chosen.is_dir():
        raise typer.BadParameter(f"{one_line(str(chosen))} is not a directory", param_hint="DIRECTORY")
    return str(chosen.resolve())


def _show(output: Output, stop: StopSignals, store: ChatStore, directory: str, *, kept: str | None) -> None:
    location = store.location if kept is None else kept  # with its password, if it has one
    history = store.history(f"demo-{token_hex(3)}")
    with AgentProcess(agent_command(location, history.context_id, directory)) as agent:
        stop.then(agent.end)
        _introduce(output, store, agent.id, directory)
        delays, changes = _follow(output, agent.changes(history))
        if stop.received is not None:
            note("stopped, and the agent's process with it")
            ended_by(stop.received)
        agent.check()
    _check(history, changes)
    _summarise(output, delays, changes)
    _side_by_side(output, history)
    _heading(output, "\nThe same in Python")
    output.text(Syntax("", "python", theme="ansi_dark").highlight(PYTHON.rstrip()))
    if kept is not None:
        _say(output, f"\nTo read it again: {_show_command(store, history)}")


def _introduce(output: Output, store: ChatStore, agent: int, directory: str) -> None:
    _heading(output, "Two processes, one store")
    _say(output, f"  the store      {store.location}")
    _say(output, f"  process {agent:<6} writes: an agent reads the Python files below")
    _say(output, f"                 {directory}")
    _say(output, f"  process {os.getpid():<6} follows: this one, in history.subscribe()\n")
    _heading(output, " seen after  cursor   block")


def _follow(output: Output, changes: Iterator[Change]) -> tuple[list[float], list[Change]]:
    """Prints each change when it comes. The changes, and of those with a time stamp the seconds since then."""
    delays: list[float] = []
    seen: list[Change] = []
    text = GrowingText()
    for change in changes:
        seen.append(change)
        if isinstance(change, TextAppended):
            output.write(text.add(change.text, output.width))
            continue
        if isinstance(change, HistoryErased):
            break
        output.write(text.end(output.width))
        text = GrowingText()
        delays.append(time.time() - _time_of(change).timestamp())
        line = Text(f"{1000 * delays[-1]:8.1f} ms  …{change.cursor[-6:]}  ", "dim")
        output.text(_fitted(Text.assemble(line, _change_line(change)), output.width))
    return delays, seen


def _time_of(change: BlockChange | RunChange) -> datetime:
    if isinstance(change, (RunStarted, RunEnded)):
        return change.run.ended_at or change.run.started_at
    return change.block.created_at if isinstance(change, BlockAdded) else change.block.updated_at


def _change_line(change: BlockChange | RunChange) -> Text:
    match change:
        case RunStarted():
            return _run_line("started")
        case RunEnded():
            return _run_line(change.run.state)
        case BlockClosed():
            return Text.assemble(
                _index(change.block), " ", _label(change.block), f" complete: {len(change.block.text)} characters"
            )
        case _:
            return _line(change.block)


def _run_line(words: str) -> Text:
    return Text.assemble("    ", ("run", "bold blue"), f"       {words}")


def _check(history: History, changes: Sequence[Change]) -> None:
    """Raises AgentFailed unless the subscription gave every block once, in order, and resumes at every cursor."""
    added = [change.index for change in changes if isinstance(change, BlockAdded)]
    blocks = history.get_messages()
    if added != list(range(len(blocks))) or collect(changes) != blocks:
        raise AgentFailed("what was followed is not what was stored")
    for place, change in enumerate(changes, 1):
        rest = history.subscribe(after=change.cursor, follow=False)
        if collect([*changes[:place], *rest]) != blocks:
            raise AgentFailed(f"resuming at {change.cursor} did not give the rest")


def _summarise(output: Output, delays: Sequence[float], changes: Sequence[Change]) -> None:
    _say(
        output,
        f"\n{len(changes)} changes, {len(changes) - len(delays)} of them text that grew: none missing, none twice.",
    )
    _say(output, "Resumed at the cursor of each: it gave exactly the rest.")
    _say(
        output,
        f"Seen after {1000 * median(delays):.1f} ms (median), {1000 * max(delays):.1f} ms at most: from the time stamp",
    )
    _say(output, "that the agent's transaction took before its commit, to the change in hand here.")
    _say(output, f"The agent waits {1000 * PACE:.0f} ms between steps for your eyes. Nothing else sleeps.\n")


def _side_by_side(output: Output, history: History) -> None:
    transcript, trace = Table.grid(padding=(0, 1, 0, 0)), Table.grid()
    transcript.add_column(no_wrap=True)
    transcript.add_column(overflow="fold")
    trace.add_column(no_wrap=True, overflow="ellipsis")
    for block in history.get_messages(kind="transcript"):
        transcript.add_row(_index(block), Text.assemble(_label(block), f" {printable(block.text)}"))
    for block in history.get_messages(kind="trace"):
        trace.add_row(_line(block))
    both = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, expand=True)
    both.add_column('kind="transcript"', ratio=2)
    both.add_column('kind="trace"', ratio=3)
    both.add_row(transcript, trace)
    _heading(output, "One history, read for two purposes")
    output.show(both)


def _line(block: Block) -> Text:
    """A block on one line, narrower than the other commands print it."""
    label = _label(block)
    label.pad_right(max(0, 9 - len(label)))
    remarks = "".join(f"{words} " for words in [*(["internal"] * block.internal), *map(tag_text, block.tags)])
    return Text.assemble(_index(block), " ", label, " ", (remarks, "blue"), _words(block))


def _index(block: Block) -> Text:
    return Text(f"{block.index:>3}", "dim")


def _label(block: Block) -> Text:
    label = str(block.role) if block.type == "message" else block.type.removeprefix("function_")
    return Text(one_line(label), style_of(block))


def _words(block: Block) -> str:
    if block.type == "function_call":
        return one_line(compact_call(block.data["name"], block.data["arguments"], block.text))
    return one_line(" ".join(block.text.split()))


def _fitted(text: Text, width: int | None) -> Text:
    if width is not None:
        text.truncate(width, overflow="ellipsis")
    return text


def _heading(output: Output, words: str) -> None:
    output.text(Text(words, "bold"))


def _say(output: Output, words: str) -> None:
    output.text(Text(printable(words)))


def _show_command(store: ChatStore, history: History) -> str:
    return f"chatstore show {history.context_id} --store {shell_word(store.location)}"
