"""Changes as a person follows them: every text once, also of blocks that grow at the same time."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pytest

from chatstore import Change, ChatStore, Tag, TextAppended
from chatstore.block_writer import BlockWriter
from chatstore.cli.output import Output
from chatstore.cli.printing import ChangePrinter, joined
from chatstore.history import History


class Following:
    """Prints the changes of a history whenever it is asked to, and knows what it printed."""

    def __init__(self, history: History, capture: pytest.CaptureFixture[bytes], after: str | None = None) -> None:
        self._history = history
        self._capture = capture
        self.cursor = after
        self.printer = ChangePrinter(Output())

    def lines(self) -> list[str]:
        """What is printed for the changes since the last time, with the time of day left out."""
        changes = self._history.subscribe(after=self.cursor, follow=False)
        self.printer.show(list(changes), str(changes.cursor))
        self.cursor = changes.cursor
        return shown(self._capture)

    def end(self) -> None:
        self.printer.end()


def shown(capture: pytest.CaptureFixture[bytes]) -> list[str]:
    text = capture.readouterr().out.decode()
    return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  ", "", text).split("\n")


@pytest.fixture
def history(store: ChatStore) -> History:
    return store.history("c")


@pytest.fixture
def following(history: History, capfdbinary: pytest.CaptureFixture[bytes]) -> Following:
    return Following(history, capfdbinary)


def write(block: BlockWriter, text: str) -> None:
    block.write(text)
    block.flush()


def test_a_text_grows_on_its_line(history: History, following: Following) -> None:
    with history.open_message(author="bob", tags=[Tag(kind="topic", name="sky")]) as block:
        assert following.lines() == ["    0  assistant · bob  topic:sky", ""]
        write(block, "It is ")
        assert following.lines() == ["         It is "]
        write(block, "18 °C.\nBut")
        assert following.lines() == ["18 °C.", "         But"]
        block.write(" cold")
    assert following.lines() == [" cold", ""]


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_how_a_growing_block_ended_is_said_unless_it_ended_well(
    history: History, following: Following, state: str
) -> None:
    block = history.open_message(author="bob")
    write(block, "It is")
    following.lines()
    if state == "failed":
        block.fail(ValueError("no\x1bnetwork"))
    else:
        block.cancel()
    why = "  ValueError: no␛network" if state == "failed" else ""
    assert following.lines() == ["", f"    0  assistant · bob  {state}{why}", ""]


def test_what_comes_in_between_ends_the_line_and_the_text_goes_on_under_its_number(
    history: History, following: Following
) -> None:
    with history.open_message(author="bob") as block:
        write(block, "It is ")
        following.lines()
        history.append_status_message("still looking")
        assert following.lines() == ["", "    1  status  still looking", ""]
        write(block, "18 °C.")
        assert following.lines() == ["    0 …  bob  18 °C."]


def test_of_blocks_that_grow_at_once_each_goes_on_by_what_came_since(history: History, following: Following) -> None:
    with history.open_message(author="alice") as one, history.open_message(author="bob") as two:
        following.lines()
        for number in range(3):
            write(one, f"a{number} ")
            write(two, f"b{number} ")
        assert following.lines() == ["         b0 b1 b2 ", "    0 …  alice  a0 a1 a2 "]
        assert following.printer.crowded
        write(one, "a3")
        write(two, "b3")
        assert following.lines() == ["a3", "    1 …  bob  b3"]
        for text in ("a4", "a5"):
            write(one, text)
            following.lines()
        assert not following.printer.crowded


def test_a_block_that_ended_before_it_was_seen_is_printed_whole_and_once(
    history: History, following: Following
) -> None:
    with history.open_message() as block:
        write(block, "one ")
        write(block, "two")
    history.open_message().cancel()
    assert following.lines() == ["    0  assistant", "         one two", "    1  assistant  cancelled", ""]


def test_a_block_that_was_open_before_the_start_is_printed_whole_when_it_ends(
    history: History, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    with history.open_message() as block:
        write(block, "one ")
        following = Following(history, capfdbinary, after=history.head())
        assert following.lines() == [""]
        block.write("two")
    assert following.lines() == ["    0  assistant", "         one two", ""]


def test_who_comes_in_the_middle_goes_on_from_there(
    history: History, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    with history.open_message() as block:
        write(block, "one ")
        following = Following(history, capfdbinary, after=history.head())
        write(block, "two")
        assert following.lines() == ["    0 …  two"]
        block.write(" three")
    assert following.lines() == [" three", ""]


def test_runs_are_shown_with_how_they_ended(history: History, following: Following) -> None:
    with pytest.raises(ValueError), history.run() as run:
        run.set_usage({"tokens": 1})
        block = history.open_block("reasoning", role="assistant")
        write(block, "hm")
        assert following.lines() == [f"  run  started  {run.id}", "    0  reasoning", "         hm"]
        raise ValueError("lost")
    end = following.lines()
    assert end[:2] == ["", "    0  reasoning  failed"]
    assert re.fullmatch(rf"  run  failed  {run.id}  \d+\.\d s  ValueError: lost  usage {{\"tokens\":1}}", end[2])


def test_arguments_of_a_call_grow_as_the_model_writes_them(history: History, following: Following) -> None:
    data = {"name": "get_weather", "call_id": "1", "arguments": None}
    with history.open_block("function_call", role="assistant", data=data) as block:
        write(block, '{"city": ')
        assert following.lines() == ["    0  call  get_weather", '         {"city": ']
        block.write('"Paris"}')
    assert following.lines() == ['"Paris"}', ""]


def test_pieces_are_joined_between_other_changes_only(history: History) -> None:
    with history.open_message() as one, history.open_message() as two:
        changes: list[Change] = []
        for text in ("a", "b"):
            write(one, f"1{text}")
            write(two, f"2{text}")
            changes += tail_of(history, changes)
        history.append_status_message("between")
        write(one, "1c")
        changes += tail_of(history, changes)
        found = list(joined(changes, two.block.id))
        assert texts(found) == ["", "", "2a2b", "1a1b", "", "1c"]


def tail_of(history: History, seen: list[Change]) -> list[Change]:
    return list(history.subscribe(after=seen[-1].cursor if seen else None, follow=False))


def texts(changes: Iterable[Change]) -> list[str]:
    return [change.text if isinstance(change, TextAppended) else "" for change in changes]
