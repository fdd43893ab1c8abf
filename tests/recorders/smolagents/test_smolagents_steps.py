"""What agents of smolagents do, as it is stored: the package itself, with a model that says what it was told to."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from PIL import Image
from recorded import CONTEXT, texts, usage_of
from scripted_model import ADDING, ANSWERING, INPUT, OUTPUT, PLAN, WholeModel, add, code_agent, tool_agent
from smolagents import tool
from smolagents.memory import ActionStep, MemoryStep
from stored_runs import TASK, done, last_run, managed, result_of

from chatstore import ChatStore, History
from chatstore.errors import InvalidInput
from chatstore.recorders import record as record_any
from chatstore.recorders.smolagents import record


@pytest.fixture
def history(store: ChatStore) -> History:
    return store.history(CONTEXT)


def test_m1_m2_plan_and_thoughts_are_a_block_for_each_call_of_the_model(history: History) -> None:
    blocks = done(code_agent(PLAN, ADDING, ANSWERING, planning_interval=5), history)
    assert [block.type for block in blocks] == [
        "message",
        *("plan", "reasoning", "function_call", "function_result"),
        *("reasoning", "function_call", "function_result", "message"),
    ]
    assert [*texts(blocks, "plan"), *texts(blocks, "reasoning")] == [PLAN, ADDING, ANSWERING]
    assert {block.state for block in blocks} == {"closed"}


def test_m2_every_plan_is_known_while_it_is_written(history: History) -> None:
    agent = code_agent("plan a", ADDING, "plan b", ANSWERING, planning_interval=1)
    opened = []
    for _ in record(agent.run(TASK, stream=True), history, agent=agent):
        opened += [block.type for block in history.get_messages(states=["open"])]
    assert "plan" in opened
    assert texts(history.get_messages(), "plan") == ["plan a", "plan b"]
    assert texts(history.get_messages(tags=[("step", "plan")]), "plan") == ["plan a", "plan b"]


def test_m2_without_the_agent_a_plan_is_tagged_once_it_is_there(history: History) -> None:
    for _ in record_any(
        code_agent(PLAN, ANSWERING.replace("x", "5"), planning_interval=5).run(TASK, stream=True), history
    ):
        pass
    assert texts(history.get_messages(tags=[("step", "plan")]), "reasoning") == [PLAN]
    assert last_run(history).state == "completed"


def test_m3_arguments_of_calls_grow_and_are_parsed(history: History) -> None:
    agent = tool_agent(("let me add", [("add", '{"a": 2, "b": 3}')]), ("", [("final_answer", '{"answer": "5"}')]))
    grown = []
    for _ in record(agent.run(TASK, stream=True), history, agent=agent):
        grown += history.get_messages(types=["function_call"], states=["open"])
    blocks = history.get_messages()
    call, final = (block for block in blocks if block.type == "function_call")
    assert any(block.id == call.id for block in grown)
    assert call.text == '{"a": 2, "b": 3}'
    assert call.data == {"name": "add", "call_id": "call_1_0", "step": 1, "arguments": {"a": 2, "b": 3}}
    assert (result_of(blocks, call).text, result_of(blocks, call).data["output"]) == ("5", 5)
    assert final.data["arguments"] == {"answer": "5"}
    assert texts(blocks, "reasoning") == ["let me add"]


def test_m4_results_come_in_the_order_of_arrival_each_below_its_call(history: History) -> None:
    fast_is_done = threading.Event()

    @tool
    def echo(text: str) -> str:
        """Gives it back.

        Args:
            text: what
        """
        if text == "slow":
            fast_is_done.wait(30)
        return text

    calls = [("echo", '{"text": "slow"}'), ("echo", '{"text": "fast"}')]
    agent = tool_agent(("", calls), ("", [("final_answer", '{"answer": "done"}')]), tools=[echo])
    for event in record(agent.run(TASK, stream=True), history, agent=agent, strict=True):
        if type(event).__name__ == "ToolOutput" and event.output == "fast":
            fast_is_done.set()
    blocks = history.get_messages()
    slow, fast, _ = (block for block in blocks if block.type == "function_call")
    assert texts(blocks, "function_result") == ["fast", "slow", "done"]
    assert (result_of(blocks, slow).text, result_of(blocks, fast).text) == ("slow", "fast")
    assert result_of(blocks, slow).data["call_id"] == slow.data["call_id"] == "call_1_0"


def test_m5_what_a_model_cost_is_counted_once(history: History) -> None:
    blocks = done(code_agent(PLAN, ADDING, ANSWERING, planning_interval=5), history)
    assert usage_of(blocks, "input_tokens", "output_tokens") == [3 * INPUT, 3 * OUTPUT] == [33, 15]
    assert last_run(history).usage is None


def test_m5_also_where_a_model_only_called(history: History) -> None:
    blocks = done(tool_agent(("", [("add", '{"a": 2, "b": 3}')]), ("", [("final_answer", '{"answer": "5"}')])), history)
    assert usage_of(blocks, "input_tokens", "output_tokens") == [2 * INPUT, 2 * OUTPUT]
    assert [block.usage is None for block in blocks if block.type == "function_call"] == [False, False]


def test_m6_a_tool_that_raises_fails_its_call_and_has_no_result(history: History) -> None:
    blocks = done(tool_agent(("", [("boom", '{"x": 1}')]), ("", [("final_answer", '{"answer": "no"}')])), history)
    call = next(block for block in blocks if block.type == "function_call")
    assert (call.state, call.text, call.data["arguments"]) == ("failed", '{"x": 1}', {"x": 1})
    assert "ValueError: boom 1" in call.data["error"]["message"]
    assert not [block for block in blocks if block.parent_id == call.id]
    [error] = [block for block in blocks if block.type == "error"]
    assert error.data == {"type": "AgentToolExecutionError", "step": 1}
    assert last_run(history).state == "completed"


def test_m6_code_that_cannot_be_read_is_an_error_and_no_call(history: History) -> None:
    blocks = done(code_agent("no code here", ANSWERING.replace("x", "1")), history)
    assert [block.type for block in blocks][1:3] == ["reasoning", "error"]
    assert blocks[1].text == "no code here"
    assert blocks[2].data["type"] == "AgentParsingError"


def test_m6_code_that_raises_fails_its_call(history: History) -> None:
    blocks = done(code_agent("<code>\nprint('a')\n1/0\n</code>", ANSWERING.replace("x", "1")), history)
    call = next(block for block in blocks if block.type == "function_call")
    assert (call.state, call.text) == ("failed", "print('a')\n1/0")
    [error] = [block for block in blocks if block.type == "error"]
    assert error.data["type"] == "AgentExecutionError"
    assert "a" in error.data["observations"]


def test_m6_of_parallel_calls_those_that_gave_a_result_keep_it(history: History) -> None:
    given = threading.Event()

    @tool
    def wait() -> str:
        """Waits, and raises."""
        given.wait(30)
        raise ValueError("late")

    calls = [("wait", "{}"), ("add", '{"a": 1, "b": 1}')]
    agent = tool_agent(("", calls), ("", [("final_answer", '{"answer": "x"}')]), tools=[wait, add])
    for event in record(agent.run(TASK, stream=True), history, agent=agent, strict=True):
        if type(event).__name__ == "ToolOutput":
            given.set()
    states = {block.data["name"]: block.state for block in history.get_messages(types=["function_call"])}
    assert states == {"wait": "failed", "add": "closed", "final_answer": "closed"}


def test_m7_the_transcript_is_the_task_and_the_answer(history: History) -> None:
    done(code_agent(PLAN, ADDING, ANSWERING, planning_interval=5), history)
    said = history.get_messages(kind="transcript")
    assert [(block.role, block.text) for block in said] == [("user", TASK), ("assistant", "5")]
    assert said[1].data == {"output": 5, "output_type": "int"}
    assert history.get_messages(tags=[("answer", "final")]) == said[1:]


@pytest.mark.parametrize(
    ("code", "text", "output"),
    [
        ("{'a': [1, 2]}", "{'a': [1, 2]}", {"a": [1, 2]}),
        ("float('nan')", "nan", "nan"),
        ("2 ** 70", str(2**70), str(2**70)),
        ("{1, 2}", "{1, 2}", [1, 2]),
        ("None", "None", None),
    ],
)
def test_m7_any_answer_can_be_stored(history: History, code: str, text: str, output: Any) -> None:
    blocks = done(code_agent(f"<code>final_answer({code})</code>"), history)
    assert (blocks[-1].text, blocks[-1].data["output"]) == (text, output)


def test_m8_a_model_that_does_not_stream_is_recorded_by_its_steps(history: History) -> None:
    blocks = done(code_agent(model=WholeModel(ADDING, ANSWERING), stream_outputs=False), history)
    assert texts(blocks, "reasoning") == [ADDING, ANSWERING]
    assert texts(blocks, "function_call") == ["x = add(2, 3)\nprint('sum', x)", "final_answer(x)"]
    assert usage_of(blocks, "input_tokens", "output_tokens") == [2 * INPUT, 2 * OUTPUT]
    assert {block.state for block in blocks} == {"closed"}


def test_m8_neither_does_one_that_plans(history: History) -> None:
    model = WholeModel(PLAN, ("", [("final_answer", '{"answer": "5"}')]))
    blocks = done(tool_agent(model=model, stream_outputs=False, planning_interval=3), history)
    assert texts(blocks, "plan") == [PLAN]
    assert texts(blocks, "function_call") == ['{"answer": "5"}']


def test_m9_two_turns_are_two_runs_in_one_history(history: History) -> None:
    agent = code_agent(ADDING, ANSWERING, "<code>final_answer(x + 1)</code>")
    done(agent, history)
    done(agent, history, task="And one more", reset=False)
    first, second = history.runs()
    assert [block.text for block in history.get_messages(kind="transcript")] == [TASK, "5", "And one more", "6"]
    steps = [
        [block.data["step"] for block in history.get_messages(types=["reasoning"], run=run.id)]
        for run in (first, second)
    ]
    assert steps == [[1, 2], [1]]


def test_m10_a_managed_agent_is_recorded_below_the_call_that_asked_it(history: History) -> None:
    agent, worker = managed("<code>final_answer(4 + 4)</code>")
    before = {kind: [*callbacks] for kind, callbacks in worker.step_callbacks._callbacks.items()}
    blocks = done(agent, history)
    call = next(block for block in blocks if block.type == "function_call" and block.author is None)
    below = [block for block in blocks if block.author == "adder"]
    assert [block.type for block in below] == ["reasoning", "function_call", "function_result", "message"]
    assert all(block.internal and block.run_id == last_run(history).id for block in below)
    assert [below[0].parent_id, below[1].parent_id, below[3].parent_id] == [call.id] * 3
    assert below[2].parent_id == below[1].id
    assert below[1].text == "final_answer(4 + 4)"
    assert below[3].text == "8"
    assert len(history.get_messages(kind="transcript")) == 2
    after = {kind: callbacks for kind, callbacks in worker.step_callbacks._callbacks.items() if callbacks}
    assert after == before
    assert usage_of(blocks, "input_tokens") == [2 * INPUT]


def test_m10_so_are_those_that_it_manages_itself_and_its_plans_and_errors(history: History) -> None:
    lowest = code_agent(
        PLAN, "oops", "<code>final_answer(1)</code>", name="lowest", description="d", planning_interval=9
    )
    asking = "<code>final_answer({}(task='do'))</code>"
    middle = code_agent(asking.format("lowest"), tools=[], name="middle", description="d", managed_agents=[lowest])
    blocks = done(code_agent(asking.format("middle"), tools=[], managed_agents=[middle]), history)
    of_lowest = [block.type for block in blocks if block.author == "lowest"]
    assert of_lowest == ["plan", "reasoning", "error", "reasoning", "function_call", "function_result", "message"]
    assert {block.author for block in blocks if block.internal} == {"middle", "lowest"}
    assert not middle.step_callbacks._callbacks.get(MemoryStep)
    assert not lowest.step_callbacks._callbacks.get(MemoryStep)


def test_m10_agents_that_work_at_the_same_time_are_below_their_own_calls(history: History) -> None:
    workers = [code_agent("<code>final_answer(1)</code>", name=name, description="d") for name in ("left", "right")]
    calls = [("left", '{"task": "l"}'), ("right", '{"task": "r"}')]
    agent = tool_agent(("", calls), ("", [("final_answer", '{"answer": "done"}')]), managed_agents=workers)
    blocks = done(agent, history)
    for name in ("left", "right"):
        [call] = [block for block in blocks if block.type == "function_call" and block.data["name"] == name]
        assert len([block for block in blocks if block.parent_id == call.id and block.author == name]) == 3


def test_pictures_are_parts_and_never_text(store: ChatStore, history: History) -> None:
    shown, seen = Image.new("RGB", (2, 2), "red"), Image.new("RGB", (3, 3), "blue")

    def look(step: ActionStep) -> None:
        step.observations_images = [*(step.observations_images or ()), seen]

    agent = code_agent(ADDING, "<code>final_answer(x)</code>", step_callbacks=[look])
    blocks = done(agent, history, images=[shown])
    pictures = [(block.type, len(block.parts)) for block in blocks if block.parts]
    assert pictures == [("message", 1), ("function_result", 1)]
    [part] = blocks[0].parts
    assert part.mime_type == "image/png"
    assert store.read_bytes(part).startswith(b"\x89PNG")


def test_an_answer_that_is_a_picture_is_a_part(store: ChatStore, history: History) -> None:
    @tool
    def draw() -> Any:
        """Draws."""
        return Image.new("RGB", (2, 2), "red")

    draw.output_type = "image"
    agent = tool_agent(("", [("draw", "{}")]), ("", [("final_answer", '{"answer": "image.png"}')]), tools=[draw])
    blocks = done(agent, history)
    result = next(block for block in blocks if block.type == "function_result")
    assert (result.text, len(result.parts)) == ("Stored 'image.png' in memory.", 1)
    assert (blocks[-1].text, len(blocks[-1].parts)) == ("", 1)
    assert store.read_bytes(blocks[-1].parts[0]).startswith(b"\x89PNG")


def test_what_is_no_stream_is_refused_at_once(history: History) -> None:
    agent = code_agent("<code>final_answer('text')</code>")
    with pytest.raises(InvalidInput, match="stream=True"):
        record(agent.run(TASK), history, agent=agent)


def test_two_calls_with_one_id_do_not_leave_one_of_them_open(history: History) -> None:
    agent = tool_agent(
        ("", [("add", '{"a": 1, "b": 1}'), ("add", '{"a": 2, "b": 2}')]), ("", [("final_answer", '{"answer": "x"}')])
    )
    events = agent.run(TASK, stream=True)

    def same_ids() -> Any:
        for event in events:
            for call in getattr(event, "tool_calls", None) or ():
                if getattr(call, "index", None) is not None and call.id:
                    call.id = "same"
            yield event

    for _ in record(same_ids(), history, agent=agent, strict=True):
        pass
    blocks = history.get_messages()
    assert [block.state for block in blocks if block.type == "function_call"] == ["failed", "closed", "closed"]
    assert texts(blocks, "function_result")[0] == "4"


def test_what_a_tool_tells_is_part_of_the_run(history: History) -> None:
    @tool
    def tell() -> str:
        """Tells what it does."""
        history.append_status_message("working")
        return "done"

    calls = ("", [("tell", "{}"), ("tell", "{}")]), ("", [("final_answer", '{"answer": "done"}')])
    blocks = done(tool_agent(*calls, tools=[tell]), history)
    run = last_run(history)
    assert [block.run_id for block in blocks if block.type == "status"] == [run.id, run.id]


def test_what_a_tool_of_code_tells_is_part_of_the_run_that_it_names(history: History) -> None:
    @tool
    def tell() -> str:
        """Tells what it does."""
        history.append_status_message("working", run_id=recording.run_id)  # smolagents runs code in another thread
        return "done"

    agent = code_agent("<code>final_answer(tell())</code>", tools=[tell])
    recording = record(agent.run(TASK, stream=True), history, agent=agent, strict=True)
    assert type([*recording][-1]).__name__ == "FinalAnswerStep"
    [status] = history.get_messages(types=["status"])
    assert status.run_id == recording.run_id
