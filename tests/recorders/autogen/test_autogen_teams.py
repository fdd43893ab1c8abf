"""What teams and agents of AutoGen do, as it is stored: the package itself, with models that say what they shall."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from autogen_agentchat.agents import (
    ApprovalRequest,
    ApprovalResponse,
    CodeExecutorAgent,
    SocietyOfMindAgent,
    UserProxyAgent,
)
from autogen_agentchat.base import Handoff
from autogen_agentchat.conditions import TextMentionTermination
from autogen_agentchat.messages import MultiModalMessage, TextMessage
from autogen_agentchat.teams import SelectorGroupChat, Swarm
from autogen_core import CancellationToken, Image
from autogen_core.code_executor import CodeBlock, CodeExecutor, CodeResult
from PIL import Image as Pillow
from pydantic import BaseModel
from recorded import CONTEXT, shapes, texts, usage_of
from scripted_team import Client, add, agent, boom, calls, researcher_and_writer, says, slow, team

from chatstore import AsyncChatStore, AsyncHistory, Block, Run, TextAppended
from chatstore.recorders import record as record_any
from chatstore.recorders.autogen import load_state, record, save_state

TASK = "add 2 and 3"


@pytest.fixture
def history(async_store: AsyncChatStore) -> AsyncHistory:
    return async_store.history(CONTEXT)


async def done(source: Any, history: AsyncHistory, **options: Any) -> list[Block]:
    """What is stored of a run that comes to its end."""
    async for _ in record(source, history, strict=True, **options):
        pass
    return await history.get_messages()


async def last_run(history: AsyncHistory) -> Run:
    return (await history.runs())[-1]


async def test_a1_chunks_and_their_message_are_one_block(history: AsyncHistory) -> None:
    blocks = await done(researcher_and_writer().run_stream(task=TASK), history)
    assert [(block.type, block.author, block.text) for block in blocks] == [
        ("message", "user", TASK),
        ("reasoning", "researcher", "I need to add"),
        ("function_call", "researcher", '{"a": 2, "b": 3}'),
        ("function_result", "researcher", "5"),
        ("message", "researcher", "the sum is 5"),
        ("message", "writer", "Final answer: five. APPROVE"),
        ("status", None, "Text 'APPROVE' mentioned"),
    ]
    assert {block.state for block in blocks} == {"closed"}
    assert (await last_run(history)).state == "completed"


async def test_a1_usage_is_that_of_the_messages(history: AsyncHistory) -> None:
    stream, expected = researcher_and_writer().run_stream(task=TASK), [0, 0]
    async for event in record(stream, history, strict=True):
        if (usage := getattr(event, "models_usage", None)) is not None:
            expected = [expected[0] + usage.prompt_tokens, expected[1] + usage.completion_tokens]
    assert usage_of(await history.get_messages(), "prompt_tokens", "completion_tokens") == expected != [0, 0]


async def test_a1_the_id_of_a_message_is_kept(history: AsyncHistory) -> None:
    result: Any = None
    async for event in record(researcher_and_writer().run_stream(task=TASK), history, strict=True):
        result = event
    stored = await history.get_messages(types=["message"])
    assert [block.data["message_id"] for block in stored] == [
        message.id for message in result.messages if type(message).__name__ == "TextMessage"
    ]


async def test_a2_the_last_answer_is_marked(history: AsyncHistory) -> None:
    await done(researcher_and_writer().run_stream(task=TASK), history, shown=["writer"])
    [final] = await history.get_messages(tags=[("answer", "final")])
    assert (final.author, final.text) == ("writer", "Final answer: five. APPROVE")
    transcript = await history.get_messages(kind="transcript")
    assert [block.author for block in transcript] == ["user", "writer"]
    assert {block.author for block in await history.get_messages() if block.internal} == {"researcher"}


async def test_a2_a3_a_subscriber_to_one_agent_gets_its_text_and_nothing_of_others(history: AsyncHistory) -> None:
    await done(researcher_and_writer().run_stream(task=TASK), history)
    pieces = []
    async for change in history.subscribe(authors=["writer"], follow=False):
        assert getattr(change, "author", None) == "writer"
        pieces += [change.text] if isinstance(change, TextAppended) else []
    assert "".join(pieces) in ("Final answer: five. APPROVE", "")


async def test_a3_agents_that_are_not_streamed_are_stored_whole(history: AsyncHistory) -> None:
    grown = []
    async for _ in record(researcher_and_writer().run_stream(task=TASK), history, streamed=["writer"], strict=True):
        grown += await history.get_messages(types=["message"], states=["open"])
    assert {block.author for block in grown} == {"writer"}
    assert texts(await history.get_messages(), "message") == [TASK, "the sum is 5", "Final answer: five. APPROVE"]


async def test_a4_calls_have_their_results_whether_errors_or_not(history: AsyncHistory) -> None:
    wanted = calls(("boom", '{"x": 1}'), ("nosuch", "{}"), ("slow", '{"x": 0}'), ("slow", '{"x": 1}'))
    one = agent("t", wanted, "recovered APPROVE", tools=[boom, slow], reflect_on_tool_use=True)
    blocks = await done(team(one).run_stream(task="x"), history)
    made = [block for block in blocks if block.type == "function_call"]
    results = [block for block in blocks if block.type == "function_result"]
    assert [block.parent_id for block in results] == [block.id for block in made]
    assert [block.data["is_error"] for block in results] == [True, True, False, False]
    assert [block.data["arguments"] for block in made] == [{"x": 1}, {}, {"x": 0}, {"x": 1}]
    assert [block.usage for block in made] == [{"prompt_tokens": 9, "completion_tokens": 4}, None, None, None]


async def test_a4_calls_with_one_id_in_one_run_keep_their_own_results(history: AsyncHistory) -> None:
    answers = calls(("add", '{"a": 1, "b": 1}')), calls(("add", '{"a": 2, "b": 2}')), "4 it is APPROVE"
    blocks = await done(team(agent("loop", *answers, tools=[add], max_tool_iterations=5)).run_stream(task="x"), history)
    made = {block.id: block for block in blocks if block.type == "function_call"}
    results = [block for block in blocks if block.type == "function_result"]
    assert [(made[block.parent_id or ""].data["arguments"]["a"], block.text) for block in results] == [
        (1, "2"),
        (2, "4"),
    ]


async def test_a5_who_was_cut_off_goes_on_at_its_cursor(history: AsyncHistory) -> None:
    await done(researcher_and_writer().run_stream(task=TASK), history)
    whole = [change async for change in history.subscribe(follow=False)]
    seen = whole[:3]
    seen += [change async for change in history.subscribe(after=seen[-1].cursor, follow=False)]
    assert [change.cursor for change in seen] == [change.cursor for change in whole]


async def test_a6_what_a_team_remembers_goes_through_the_store(history: AsyncHistory) -> None:
    first = researcher_and_writer()
    await done(first.run_stream(task=TASK), history)
    before = await first.save_state()
    stored = await save_state(first, history)
    assert (stored.type, stored.internal, stored.data) == ("state", True, before)
    assert set(before["agent_states"]) == {"researcher", "writer", "RoundRobinGroupChatManager"}
    second = researcher_and_writer()
    assert await load_state(second, history)
    assert await second.save_state() == before
    assert await history.count(kind="prompt") == len(await history.get_messages(kind="prompt"))
    assert not await load_state(agent("nobody"), history)


async def test_a6_the_newest_state_is_loaded(history: AsyncHistory) -> None:
    one = agent("solo", "hello", "again")
    for task in ("hi", "and"):
        await done(one.run_stream(task=task), history)
        await save_state(one, history)
    other = agent("solo")
    assert await load_state(other, history)
    assert await other.save_state() == await one.save_state()


async def test_a7_what_a_selector_says_is_a_status(history: AsyncHistory) -> None:
    chat = SelectorGroupChat(
        [agent("planner", "plan: ask coder"), agent("coder", "code done APPROVE")],
        model_client=Client("planner", "coder"),
        termination_condition=TextMentionTermination("APPROVE"),
        model_client_streaming=True,
        emit_team_events=True,
    )
    blocks = await done(chat.run_stream(task="do it"), history)
    chosen = [block for block in blocks if block.author == "SelectorGroupChatManager"]
    assert [(block.type, block.state, block.text) for block in chosen][:2] == [
        ("status", "closed", "planner"),
        ("status", "closed", "planner"),
    ]
    assert chosen[0].data["type"] == "SelectorEvent"
    assert chosen[1].data["type"] == "SelectSpeakerEvent"
    assert texts(blocks, "message") == ["do it", "plan: ask coder", "code done APPROVE"]


async def test_a8_a_handoff_is_a_block_of_its_own(history: AsyncHistory) -> None:
    alice = agent("alice", calls(("transfer_to_bob", "{}")), handoffs=[Handoff(target="bob")])
    swarm = Swarm([alice, agent("bob", "bob here APPROVE")], termination_condition=TextMentionTermination("APPROVE"))
    blocks = await done(swarm.run_stream(task="go"), history)
    assert [block.type for block in blocks][1:5] == ["function_call", "function_result", "handoff", "message"]
    assert blocks[3].data["target"] == "bob"
    assert blocks[3].author == "alice"


async def test_a8_a_request_for_input_is_open_until_it_is_answered(history: AsyncHistory) -> None:
    asked, answered = asyncio.Event(), asyncio.Event()

    async def ask(prompt: str, token: CancellationToken | None) -> str:
        asked.set()
        await answered.wait()
        return "APPROVE by human"

    stream = record(team(agent("a", "draft"), UserProxyAgent("person", input_func=ask)).run_stream(task="x"), history)

    async def read() -> None:
        async for _ in stream:
            pass

    reading = asyncio.create_task(read())
    async for change in history.subscribe(types=["input_request"], timeout=30):
        assert change.block.state == "open"  # type: ignore[union-attr]
        break
    await asyncio.wait_for(asked.wait(), 30)
    assert [block.type for block in await history.get_messages(states=["open"])] == ["input_request"]
    answered.set()
    await asyncio.wait_for(reading, 30)
    blocks = await history.get_messages()
    assert [(block.type, block.state) for block in blocks if block.author == "person"] == [
        ("input_request", "closed"),
        ("message", "closed"),
    ]
    assert [(block.role, block.text) for block in await history.get_messages(kind="transcript")] == [
        ("user", "x"),
        ("assistant", "draft"),
        ("user", "APPROVE by human"),
    ]
    assert texts(await history.get_messages(tags=[("answer", "final")]), "message") == ["draft"]


async def test_a8_the_inner_agents_of_a_society_are_internal_when_asked(history: AsyncHistory) -> None:
    inner = team(agent("in1", "inner draft"), agent("in2", "inner APPROVE"))
    society = SocietyOfMindAgent("society", inner, Client("society final answer APPROVE"))
    blocks = await done(team(society).run_stream(task="solve"), history, shown=["society"])
    assert [(block.author, block.internal) for block in blocks if block.type == "message"] == [
        ("user", False),
        ("in1", True),
        ("in2", True),
        ("society", False),
    ]
    [final] = await history.get_messages(tags=[("answer", "final")])
    assert final.author == "society"


async def test_a9_an_error_is_told_without_its_traceback(history: AsyncHistory) -> None:
    chat = team(agent("a", "one"), agent("b", ["half of it", ValueError("the model is away")]))
    with pytest.raises(RuntimeError, match="Traceback"):
        await done(chat.run_stream(task="x"), history)
    run = await last_run(history)
    assert run.state == "failed"
    assert run.error is not None
    assert (run.error.type, run.error.message) == ("RuntimeError", "ValueError: the model is away")
    blocks = await history.get_messages()
    assert shapes(blocks)[1:] == [("message", "closed", "one"), ("message", "failed", "half of it")]
    assert not any(".py" in f"{block.text}{block.data}" for block in blocks)


async def test_a10_the_response_of_an_agent_ends_its_block(history: AsyncHistory) -> None:
    solo = agent("solo", "hello there friend")
    stream = solo.on_messages_stream([TextMessage(content="hi", source="user")], CancellationToken())
    blocks = await done(stream, history, prompt="hi")
    assert [(block.role, block.text) for block in blocks] == [("user", "hi"), ("assistant", "hello there friend")]
    assert blocks[1].tags[0].kind == "answer"
    assert (await last_run(history)).state == "completed"


async def test_a10_so_does_a_run_of_one_agent_found_by_its_events(history: AsyncHistory) -> None:
    async for _ in record_any(
        agent("solo", "hello there friend").run_stream(task="hi"), history, prompt="hi", strict=True
    ):
        pass
    assert texts(await history.get_messages(), "message") == ["hi", "hello there friend"]


async def test_a_prompt_that_the_team_says_once_more_is_stored_once(history: AsyncHistory) -> None:
    blocks = await done(researcher_and_writer().run_stream(task=TASK), history, prompt=TASK)
    assert [block.text for block in blocks if block.role == "user"] == [TASK]


async def test_a_hang_after_a_cancelled_tool_ends_at_the_idle_limit(history: AsyncHistory) -> None:
    running, never = asyncio.Event(), asyncio.Event()

    async def wait(x: int) -> str:
        """Waits."""
        running.set()
        await never.wait()
        return "late"

    token = CancellationToken()
    chat = team(agent("a", calls(("wait", '{"x": 0}')), tools=[wait]))
    stream = record(chat.run_stream(task="x", cancellation_token=token), history, idle_limit=1.0)

    async def read() -> None:
        async for _ in stream:
            pass

    reading = asyncio.create_task(read())
    async for _ in history.subscribe(types=["function_call"], timeout=30):
        break
    await asyncio.wait_for(running.wait(), 30)
    token.cancel()
    async for _ in history.subscribe(run=stream.run_id, timeout=30):
        pass
    assert not reading.done()
    run = await last_run(history)
    assert (run.state, run.error and run.error.type) == ("failed", "StreamIdle")
    [call] = await history.get_messages(types=["function_call"])
    assert (call.state, call.data["arguments"]) == ("failed", {"x": 0})
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading


async def test_what_a_model_thinks_aloud_is_no_part_of_what_it_says(history: AsyncHistory) -> None:
    pieces = ["<thi", "nk>2 and", " 3</th", "ink>\n\n", "It is ", "5\n", says("It is 5", thought="2 and 3")]
    blocks = await done(agent("solo", pieces).run_stream(task="x"), history)
    assert [(block.type, block.state, block.text.strip()) for block in blocks[1:]] == [
        ("reasoning", "closed", "2 and 3"),
        ("message", "closed", "It is 5"),
    ]
    assert blocks[2].data is not None
    assert "final_text" not in blocks[2].data


async def test_what_was_said_before_a_call_is_not_said_again_as_a_thought(history: AsyncHistory) -> None:
    pieces = ["Let me ", "add.", calls(("add", '{"a": 1, "b": 1}'), thought="Let me add.")]
    blocks = await done(agent("solo", pieces, tools=[add]).run_stream(task="x"), history)
    assert [block.text for block in blocks] == ["x", "Let me add.", '{"a": 1, "b": 1}', "2", "2"]
    assert [tag.name for tag in blocks[1].tags] == ["thought"]


async def test_pictures_are_parts(async_store: AsyncChatStore, history: AsyncHistory) -> None:
    shown = Image(Pillow.new("RGB", (2, 2), "red"))
    task = MultiModalMessage(content=["Look", shown, "here"], source="user")
    blocks = await done(agent("solo", "nice").run_stream(task=task), history)
    assert (blocks[0].text, [part.type for part in blocks[0].parts]) == ("Look", ["image", "text"])
    assert (await async_store.read_bytes(blocks[0].parts[0])).startswith(b"\x89PNG")


async def test_structured_messages_keep_their_content(history: AsyncHistory) -> None:
    class Found(BaseModel):
        text: str
        number: int

    solo = agent("solo", '{"text": "a", "number": 1}', output_content_type=Found)
    blocks = await done(solo.run_stream(task="x"), history)
    assert blocks[-1].data["content"] == {"text": "a", "number": 1}
    assert blocks[-1].text == '{"text": "a", "number": 1}'


async def test_code_and_what_came_of_it(history: AsyncHistory) -> None:
    class Executor(CodeExecutor):
        async def execute_code_blocks(self, code_blocks: list[CodeBlock], cancellation_token: Any) -> CodeResult:
            return CodeResult(exit_code=0, output="42")

        async def start(self) -> None: ...
        async def stop(self) -> None: ...
        async def restart(self) -> None: ...

    def approve(_: ApprovalRequest) -> ApprovalResponse:
        return ApprovalResponse(approved=True, reason="it is a test")

    answers = "Run:\n```python\nprint(42)\n```", "It printed 42"
    coder = CodeExecutorAgent(
        "coder", Executor(), model_client=Client(*answers), model_client_stream=True, approval_func=approve
    )
    blocks = await done(coder.run_stream(task="x"), history)
    assert [(block.type, block.text) for block in blocks[1:]] == [
        ("message", " ".join(answers[0].split())),
        ("code_result", "42"),
        ("message", answers[1]),
    ]
    assert blocks[2].data["exit_code"] == 0
