"""AG-UI 1.0: a context as a thread, its changes as events.

The client of AG-UI knows one run at a time, and asks that what is open in it is ended before it is. Here runs may
overlap, and blocks lie outside of any. So there is one run that is told (`_run`) in which everything that happens is
shown:

- Runs that start meanwhile are its sub-agents if they are part of it, and else shown with it; when it ends, what is
  still open is ended for the client, and begun again with the same ids in the run that is told next.
- Blocks outside of any run that is known make one of their own, which ends as soon as none of them is open.

Each event has an id of its own, and the id says how to go on behind it: `<cursor>-<k>~<place>`, where `k` counts the
events of the change that follows the cursor, and the place is what this encoder knew there. So any server goes on where
another stood, to the character. Source of the format: docs.ag-ui.com and the npm packages @ag-ui/core and
@ag-ui/client 1.0.0, against which this is tested.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from chatstore.changes import Change, HistoryErased, RunEnded, RunStarted
from chatstore.cursor import Cursor, beginning
from chatstore.encoders import agui_events as forms
from chatstore.encoders.agui_ids import Place, event_id, place_of
from chatstore.encoders.growth import Begun, Ended, Grown, Growth, Marked, Step
from chatstore.encoders.shown import Calls, Event, PartUrl, failure, is_for_people, part_url, shape_of
from chatstore.model import Block, Run

OUTSIDE = "outside"
"""What the id of a run begins with that stands for blocks outside of any."""


class AguiEvent(NamedTuple):
    """An event, and the `id:` it goes by in a stream of server-sent events."""

    id: str
    event: Event


class AguiEncoder:
    """The events of one context's changes, in order. Fed from the beginning, behind `join`, or behind `resume`.

    Fed from a cursor in the middle alone (`after` says which), it gives blocks that had begun before once they are
    whole. `internal` shows also what is not for people: internal blocks and system prompts. `part_url` says where parts
    with bytes are.
    """

    def __init__(
        self, thread_id: str, *, after: str | None = None, internal: bool = False, part_url: PartUrl = part_url
    ) -> None:
        self._thread = thread_id
        self._internal = internal
        self._part_url = part_url
        self._growth = Growth()
        self._calls = Calls()
        self._speaking: dict[str, str | None] = {}
        self._texts: dict[int, str] = {}
        self._run: str | None = None
        self._passing = False
        self._inner: dict[str, str | None] = {}
        self._announced: list[str] = []
        self._cursor = None if after is None else Cursor(after)
        self._place = ""
        self._skip = 0
        self._silent = True

    @property
    def running(self) -> str | None:
        """The id of the run that is told now. A stream that follows one run ends where it is another's, or None."""
        return self._run

    def join(self, blocks: Sequence[Block], runs: Sequence[Run], cursor: str) -> list[AguiEvent]:
        """What lets a client enter in the middle: all messages, then what is open, with its text so far.

        `cursor` is the head, read before the runs, and the runs before the blocks; feed the changes behind it.
        """
        first, rest = forms.in_one_snapshot([*filter(self._shows, blocks)])
        self._know(first)
        self._growth.know(blocks)
        running = [run for run in runs if run.state == "running"]
        told = running[0] if running else runs[-1] if runs else None
        self._inner = {run.id: run.parent_run_id for run in running[1:]}
        self._run = told.id if told else f"{OUTSIDE}:{cursor}"
        self._passing = told is None
        events = [forms.run_started(self._thread, self._run, told.parent_run_id if told else None)]
        events.append(forms.snapshot(first, self._part_url))
        events += [event for block in rest for event in self._whole(block)]
        events += self._begin_again(with_text=True)
        if told and told.state != "running":
            events += self._end_run(forms.run_ended(self._thread, told))
        events += self._end_passing()
        return self._numbered(events, Cursor(cursor), prelude=True)

    def resume(self, last_event_id: str, blocks: Sequence[Block]) -> Cursor:
        """Goes on behind an event; feed the changes behind the cursor that this returns.

        `blocks` are those of the context as they are now, or at least calls and blocks that were open at the event.
        Raises InvalidCursor; where `place_of(id).joins`, join again instead.
        """
        place = place_of(last_event_id)
        self._growth.restore(place.growth, blocks)
        self._know(block for block in blocks if block.index < place.growth[1])
        for index, one in self._growth.growing.items():
            if shape_of(one.block) == "other":
                self._texts[index] = one.block.text
        self._run, self._passing = place.run, place.passing
        self._inner, self._announced = dict(place.inner), [*place.announced]
        self._cursor, self._place, self._skip, self._silent = place.cursor, place.state, place.events, False
        return place.cursor

    def encode(self, change: Change) -> list[AguiEvent]:
        """The events of one change; often one, sometimes none."""
        events = [*self._events(change), *self._end_passing()]
        return self._numbered(events, change.cursor)

    def end(self) -> list[AguiEvent]:
        """The events that end a stream which is broken off here, so that no client waits for more.

        What goes on is told as an error with the code `running`. A client that comes back by itself (TanStack's) does
        so only where the stream is cut without this.
        """
        events: list[Event] = []
        if self._run is None and self._silent:
            events += self._begin_run(f"{OUTSIDE}:nothing", passing=True)
        if self._run is not None:
            over = forms.run_finished(self._thread, self._run)
            goes_on = forms.run_error("the run goes on; attach again to follow it", "running")
            self._inner = {}
            events += self._end_run(over if self._passing else goes_on, last=True)
        cursor = self._cursor or Cursor("")
        return [self._stamped(one, event_id(cursor, f"x{k}", ""), cursor) for k, one in enumerate(events, 1)]

    def _events(self, change: Change) -> Iterator[Event]:
        match change:
            case RunStarted(run=run):
                yield from self._run_started(run)
            case RunEnded(run=run):
                yield from self._run_ended(run)
            case HistoryErased():
                self._inner = {}
                yield from self._end_run(forms.run_error("the history was erased", "context_erased"), last=True)
            case _:
                for step in self._growth.steps(change):
                    if self._shows(step.block):
                        yield from self._step(step)

    def _step(self, step: Step) -> Iterator[Event]:
        block = step.block
        if self._run is None:
            yield from self._begin_run(block.run_id or f"{OUTSIDE}:{block.id}", passing=True)
        match step:
            case Begun():
                yield from self._begin(block)
            case Grown(text=piece):
                if shape_of(block) != "other":
                    yield from forms.grown(block, piece, piece)
                elif block.index in self._texts:
                    self._texts[block.index] += piece
                    yield from forms.grown(block, piece, self._texts[block.index])
            case Ended():
                yield from self._end(block)
            case Marked():
                yield forms.marked(block)

    def _whole(self, block: Block) -> Iterator[Event]:
        """A block of a history that is longer than a snapshot."""
        if block.state == "open" and shape_of(block) != "other":
            self._remember(block)
            return
        yield from self._step(Begun(block))
        if block.state != "open":
            yield from (*self._step(Grown(block, block.text)), *self._step(Ended(block)))

    def _begin(self, block: Block) -> Iterator[Event]:
        subagent = self._subagent(block)
        if subagent is not None and subagent not in self._announced:
            yield self._announce(subagent, block)
        yield from forms.begun(block, self._parent(block), subagent)
        self._remember(block)

    def _end(self, block: Block) -> Iterator[Event]:
        if shape_of(block) == "result":
            yield forms.result(block, self._calls.answered_by(block), self._subagent(block))
        if self._texts.pop(block.index, None) is not None:
            yield forms.activity(block, block.text, self._subagent(block))
        yield from forms.ended(block)

    def _run_started(self, run: Run) -> Iterator[Event]:
        if run.id == self._run:
            self._passing = False
        elif self._run is None:
            yield from self._begin_run(run.id, parent=run.parent_run_id)
        elif run.id not in self._inner:
            self._inner[run.id] = run.parent_run_id
            if self._passing:
                yield from self._end_run(forms.run_finished(self._thread, self._run))

    def _run_ended(self, run: Run) -> Iterator[Event]:
        if self._run is None:
            yield from self._begin_run(run.id, parent=run.parent_run_id)
        if run.id == self._run:
            yield from self._end_run(forms.run_ended(self._thread, run))
        elif run.id in self._announced:
            self._announced.remove(run.id)
            self._inner.pop(run.id, None)
            broken = run.state not in ("completed", "cancelled")
            note = {"message": failure(run), "code": run.state} if broken else {"outcome": {"type": "success"}}
            yield forms.event("SUBAGENT_ERROR" if broken else "SUBAGENT_FINISHED", subagentRunId=run.id, **note)
        else:
            self._inner.pop(run.id, None)
            yield forms.run_marked(run)

    def _begin_run(self, run_id: str, *, passing: bool = False, parent: str | None = None) -> Iterator[Event]:
        self._run, self._passing = run_id, passing
        yield forms.run_started(self._thread, run_id, parent)

    def _end_run(self, terminal: Event, *, last: bool = False) -> Iterator[Event]:
        """Ends the run that is told, with all that is open in it, and goes on with the next if there is one."""
        if self._run is not None:
            for block in self._open():
                yield from forms.ended(block)
            for run_id in self._announced:
                yield forms.event("SUBAGENT_FINISHED", subagentRunId=run_id, outcome={"type": "suspended"})
        yield terminal
        self._run, self._announced = None, []
        if last:
            return
        following = next(iter(self._inner), None)
        if following is not None:
            yield from self._begin_run(following, parent=self._inner.pop(following))
        elif waiting := self._open():
            yield from self._begin_run(f"{OUTSIDE}:{waiting[0].id}", passing=True)
        yield from self._begin_again()

    def _begin_again(self, *, with_text: bool = False) -> Iterator[Event]:
        """What is open begins in the run that is told from now on."""
        for block in self._open():
            if shape_of(block) == "other":
                continue
            yield from forms.begun(block, self._parent(block))
            if with_text and block.text:
                yield from forms.grown(block, block.text, block.text)

    def _end_passing(self) -> list[Event]:
        """The end of a run that stands for blocks outside of any, once none of them is open."""
        if self._run is None or not self._passing or self._open():
            return []
        return [*self._end_run(forms.run_finished(self._thread, self._run))]

    def _open(self) -> list[Block]:
        return [one.block for one in self._growth.growing.values() if self._shows(one.block)]

    def _shows(self, block: Block) -> bool:
        return self._internal or is_for_people(block)

    def _know(self, blocks: Iterable[Block]) -> None:
        for block in filter(self._shows, blocks):
            self._remember(block)
            if shape_of(block) == "result":
                self._calls.answered_by(block)

    def _remember(self, block: Block) -> None:
        self._calls.add(block)
        if block.type == "message" and block.role == "assistant":
            self._speaking[block.id] = block.run_id
        if shape_of(block) == "other" and block.state == "open":
            self._texts[block.index] = block.text

    def _parent(self, block: Block) -> str | None:
        """The message that a call belongs to, if it was shown, and of the same run: a client takes no other."""
        parent = block.parent_id
        return parent if parent is not None and self._speaking.get(parent, ()) == block.run_id else None

    def _subagent(self, block: Block) -> str | None:
        """The run of a block, where that is part of the one that is told."""
        run_id, seen = block.run_id, 0
        while run_id in self._inner and seen < len(self._inner):
            run_id, seen = self._inner[run_id], seen + 1
            if run_id is not None and run_id == self._run:
                return block.run_id
        return None

    def _announce(self, run_id: str, block: Block) -> Event:
        self._announced.append(run_id)
        parent = self._inner[run_id]
        above = parent if parent in self._announced else None
        return forms.event(
            "SUBAGENT_STARTED", subagentRunId=run_id, name=block.author or "agent", parentSubagentRunId=above
        )

    def _numbered(self, events: Sequence[Event], cursor: Cursor, *, prelude: bool = False) -> list[AguiEvent]:
        """The events of a change with their ids: all but the last say how to go on in the middle of the change."""
        before, place = self._cursor or beginning(cursor), self._place
        self._cursor = cursor
        self._place = Place.state_of(self._run, self._passing, self._inner, self._announced, self._growth.state())
        numbered = []
        for k, one in enumerate(events[:-1], 1):
            ids = (cursor, f"x{k}", self._place) if prelude else (before, str(k), place)
            numbered.append(self._stamped(one, event_id(*ids), ids[0]))
        if events:
            numbered.append(self._stamped(events[-1], event_id(cursor, "0", self._place), cursor))
            self._silent = False
        skipped, self._skip = self._skip, 0
        return numbered[skipped:]

    @staticmethod
    def _stamped(event: Event, id: str, cursor: Cursor) -> AguiEvent:
        """An event with our cursor in its metadata, where the clients take it without a warning."""
        return AguiEvent(id, {**event, "metadata": {**event.get("metadata", {}), "chatstore": {"cursor": cursor}}})
