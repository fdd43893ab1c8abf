"""A session and a recording of one history: every item once, whoever is first."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from agents import RunConfig, Runner, SQLiteSession
from agents.memory import SessionSettings
from scripted_agents import add, adder, agent, call, growing, message, run, shapes, thought

from chatstore import AsyncChatStore, Block, to_openai
from chatstore.recorders import record as record_any
from chatstore.recorders.openai_agents import ChatStoreSession, record

DEADLINE = 30
SUM = [
    ("message", "closed", None, "Add 2 and 3"),
    ("reasoning", "closed", "adder", "I have to add"),
    ("function_call", "closed", "adder", '{"a": 2, "b": 3}'),
    ("function_result", "closed", "adder", "5"),
    ("message", "closed", "adder", "The sum is 5"),
]


class Watched(ChatStoreSession):
    """Knows how often it was given something."""

    def __init__(self, history: Any) -> None:
        super().__init__(history)
        self.given: list[Any] = []
        self.tried: list[Any] = []
        self.more = asyncio.Condition()

    async def add_items(self, items: list[Any], *, wrapper: Any = None) -> None:
        self.tried += items
        await super().add_items(items, wrapper=wrapper)
        async with self.more:
            self.given += [items]
            self.more.notify_all()

    async def until(self, count: int) -> None:
        """Waits until it was given so much."""
        async with self.more:
            await asyncio.wait_for(self.more.wait_for(lambda: len(self.given) >= count), DEADLINE)


@pytest.fixture
def session(async_store: AsyncChatStore) -> Watched:
    return Watched(async_store.history("chat"))


async def stored(session: ChatStoreSession) -> list[Block]:
    """What is in the history, once it is certain that every item is told by one block, and in it once."""
    blocks = await session.history.get_messages()
    places = {block.id: block.index for block in blocks}
    told = [
        block.index - one if isinstance(one, int) else places[one]
        for block in blocks
        if block.type == "session_items"
        for one in block.data["blocks"]
    ]
    assert len(told) == len({*told})
    return blocks


def without_ids(items: list[Any]) -> list[Any]:
    """Items but for what is made anew each time."""
    return [{name: value for name, value in item.items() if name != "id"} for item in items]


async def remembered(made: Any, *asked: Any, **options: Any) -> list[Any]:
    """What the session of the package has after the same turns."""
    oracle = SQLiteSession("oracle")
    for one in asked:
        async for _ in run(made, one, session=oracle, **options).stream_events():
            pass
    items = await oracle.get_items()
    oracle.close()
    return without_ids(items)


@pytest.mark.parametrize("pause", [True, False])
@pytest.mark.parametrize("plain", [True, False])
async def test_every_item_is_there_once(session: Watched, pause: bool, plain: bool) -> None:
    made = adder()
    made.model.pause, made.model.plain = pause, plain  # type: ignore[union-attr]
    async for _ in record(run(made, session=session), session, strict=True):
        pass
    assert shapes(await stored(session)) == SUM
    assert without_ids(await session.get_items()) == await remembered(adder(), "Add 2 and 3")


@pytest.mark.parametrize("source", ["result", "events", "found", "found events", "history"])
async def test_however_it_is_recorded(session: Watched, source: str) -> None:
    result = run(adder(), session=session)
    events = result.stream_events() if "events" in source else result
    made = record_any if "found" in source else record
    async for _ in made(events, session if source == "result" else session.history, strict=True):
        pass
    assert shapes(await stored(session)) == SUM
    [recorded] = await session.history.runs()
    assert recorded.state == "completed"


async def test_events_of_a_wrapper_are_recorded_too(session: Watched) -> None:
    async def wrapped() -> Any:
        async for event in run(adder(), session=session).stream_events():
            yield event

    async for _ in record_any(wrapped(), session.history, strict=True):
        pass
    assert shapes(await stored(session)) == SUM
    assert [one.state for one in await session.history.runs()] == ["completed"]


@pytest.mark.parametrize("wait", range(1, 28))
async def test_who_reads_late_has_every_item_once(session: Watched, wait: int) -> None:
    """The session is given what the reader has not read: the reader stops at each event, in turn, until then."""
    made = adder()
    made.model.pause = False  # type: ignore[union-attr]
    seen = 0
    async for _ in record(run(made, session=session), session, strict=True):
        seen += 1
        if seen == wait:
            await session.until(2 if seen < 19 else 3)
    assert shapes(await stored(session)) == SUM
    assert without_ids(await session.get_items()) == await remembered(adder(), "Add 2 and 3")


@pytest.mark.parametrize("stop", range(1, 28))
@pytest.mark.parametrize("late", [False, True])
async def test_who_cancels_anywhere_loses_and_doubles_nothing(session: Watched, stop: int, late: bool) -> None:
    made = adder()
    made.model.pause = not late  # type: ignore[union-attr]
    result = run(made, session=session)
    seen = 0
    async for _ in record(result, session, strict=True):
        seen += 1
        if seen == stop:
            if late:
                await session.until(2 if seen < 19 else 3)
            result.cancel()
    [recorded] = await session.history.runs()
    assert recorded.state == ("completed" if result.final_output else "cancelled")
    found = shapes(await stored(session))
    for (type, _, author, text), whole in zip(found, SUM, strict=False):
        assert (type, author) == (whole[0], whole[2])
        assert whole[3].startswith(text)
    items = await session.get_items()
    given = [item for items in session.given for item in items]
    assert items in (
        given,
        session.tried,
    )  # an add that is cancelled as it is stored is stored, as of the other session
    result = run(agent("other", [message("Again")]), "And now?", session=session)
    async for _ in record(result, session, strict=True):
        pass
    assert without_ids(await session.get_items())[len(items) :] == without_ids([*session.given[-2], *session.given[-1]])
    after = shapes(await stored(session))
    assert after[len(found) :] == [
        ("message", "closed", None, "And now?"),
        ("message", "closed", "other", "Again"),
    ]


async def test_a_turn_is_finished_before_it_stops(session: Watched) -> None:
    result = run(adder(), session=session)
    async for event in record(result, session, strict=True):
        if event.type == "run_item_stream_event":
            result.cancel(mode="after_turn")
    assert [one.state for one in await session.history.runs()] == ["cancelled"]
    assert shapes(await stored(session)) == SUM[:4]
    assert len(await session.get_items()) == 4


async def test_partial_text_is_kept_though_the_session_is_not_given_it(session: Watched) -> None:
    never = asyncio.Event()
    result = run(agent("poet", [growing("Roses are red", "Roses ", "are ", never, "red")]), "A poem", session=session)
    async for event in record(result, session, strict=True):
        if getattr(getattr(event, "data", None), "delta", "") == "are ":
            result.cancel()
    assert shapes(await stored(session)) == [
        ("message", "closed", None, "A poem"),
        ("message", "cancelled", "poet", "Roses are "),
    ]
    assert await session.get_items() == [{"role": "user", "content": "A poem"}]


async def test_partial_text_can_be_remembered(session: Watched) -> None:
    never = asyncio.Event()
    poet = agent("poet", [growing("Roses are red", "Roses ", "are ", never)], [message("red")])
    result = run(poet, "A poem", session=session)
    async for event in record(result, session, strict=True):
        if getattr(getattr(event, "data", None), "delta", "") == "are ":
            result.cancel()
    [said] = await session.history.get_messages(types=["message"], states=["cancelled"])
    await session.remember(said)
    async for _ in record(run(poet, "Go on", session=session), session, strict=True):
        pass
    assert poet.model.asked[1] == [  # type: ignore[union-attr]
        {"role": "user", "content": "A poem"},
        {"role": "assistant", "content": "Roses are "},
        {"role": "user", "content": "Go on"},
    ]
    assert [text for _, _, _, text in shapes(await stored(session))] == ["A poem", "Roses are ", "Go on", "red"]


async def test_many_turns_are_what_the_other_session_has(session: Watched) -> None:
    answers = [
        [call("add", '{"a": 1, "b": 1}', "c1"), call("add", '{"a": 2, "b": 2}', "c2")],
        [message("2 and 4")],
        [message("Nothing")],
        [thought("", sealed="gAAA="), call("add", '{"a": 3, "b": 3}', "c1")],
        [message("6")],
    ]
    turns = ["Add", "And else?", [{"role": "user", "content": [{"type": "input_text", "text": "Once more"}]}]]
    made = agent("adder", *answers, tools=[add])
    for asked in turns:
        async for _ in record(run(made, asked, session=session), session, strict=True):
            pass
    other = agent("adder", *answers, tools=[add])
    assert without_ids(await session.get_items()) == await remembered(other, *turns)
    assert [len(one) for one in made.model.asked] == [len(one) for one in other.model.asked]  # type: ignore[union-attr]
    blocks = await stored(session)
    assert [text for type, _, _, text in shapes(blocks) if type == "message"] == [
        *("Add", "2 and 4", "And else?", "Nothing", "Once more", "6")
    ]
    calls = {block.id: block.text for block in blocks if block.type == "function_call"}
    answered = [(calls[block.parent_id or ""], block.text) for block in blocks if block.type == "function_result"]
    assert answered == [('{"a": 1, "b": 1}', "2"), ('{"a": 2, "b": 2}', "4"), ('{"a": 3, "b": 3}', "6")]
    assert to_openai(await session.history.get_messages(kind="prompt"))


async def test_runs_that_nobody_records_are_blocks_too(session: Watched) -> None:
    await Runner.run(adder(), "Add 2 and 3", session=session)
    assert [(type, text) for type, _, _, text in shapes(await stored(session))] == [(one[0], one[3]) for one in SUM]
    async for _ in run(agent("other", [message("Fine")]), "How are you?", session=session).stream_events():
        pass
    assert shapes(await stored(session))[-2:] == [
        ("message", "closed", None, "How are you?"),
        ("message", "closed", None, "Fine"),
    ]


async def test_two_runs_of_one_history_at_once(session: Watched) -> None:
    async def one(name: str) -> None:
        async for _ in record(run(agent(name, [message(f"I am {name}")]), name, session=session), session, strict=True):
            pass

    await asyncio.gather(*(one(name) for name in ("a", "b", "c")))
    blocks = await stored(session)
    for recorded in await session.history.runs():
        own = [block.text for block in blocks if block.run_id == recorded.id and block.type == "message"]
        assert own == [own[0], f"I am {own[0]}"]
    assert len(await session.get_items()) == 6


async def test_the_run_config_says_how_much_is_remembered(session: Watched) -> None:
    made = agent("poet", [message("one")], [message("two")])
    config = RunConfig(session_settings=SessionSettings(limit=1))
    for asked in ("first", "second"):
        async for _ in record(run(made, asked, session=session, run_config=config), session, strict=True):
            pass
    assert len(made.model.asked[1]) == 2  # type: ignore[union-attr]
    assert len(await session.get_items()) == 4


async def test_what_the_application_makes_of_the_input_is_what_the_session_has(session: Watched) -> None:
    config = RunConfig(
        session_input_callback=lambda history, new: [*history, {"role": "user", "content": f"<{new[0]['content']}>"}]
    )
    result = run(agent("poet", [message("Yes")]), "Hi", session=session, run_config=config)
    async for _ in record(result, session, strict=True):
        pass
    assert (await session.get_items())[0] == {"role": "user", "content": "<Hi>"}
    assert [text for type, _, _, text in shapes(await stored(session))] == ["Hi", "Yes"]


async def test_who_stops_reading_behind_the_answer_leaves_the_session_whole(session: Watched) -> None:
    recording = record(run(adder(), session=session), session, strict=True)
    async for event in recording:
        if getattr(event, "name", "") == "message_output_created":
            break
    await recording.aclose()
    assert shapes(await stored(session)) == SUM
    assert len(await session.get_items()) == 5
    assert [one.state for one in await session.history.runs()] == ["completed"]
