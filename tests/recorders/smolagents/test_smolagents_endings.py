"""How runs of agents of smolagents end, other than by an answer: the package itself, with a scripted model."""

from __future__ import annotations

import pytest
from recorded import CONTEXT, shapes, usage_of
from scripted_model import ADDING, ANSWERING, INPUT, code_agent
from smolagents.agents import AgentMaxStepsError
from smolagents.memory import ActionStep, MemoryStep
from smolagents.utils import AgentError, AgentGenerationError
from stored_runs import TASK, done, last_run, managed

from chatstore import ChatStore, History
from chatstore.recorders.smolagents import record


@pytest.fixture
def history(store: ChatStore) -> History:
    return store.history(CONTEXT)


def test_m11_interrupting_fails_the_run_with_what_the_agent_raises(history: History) -> None:
    agent = code_agent(ADDING, ANSWERING)
    with pytest.raises(AgentError, match=r"Agent interrupted\."):
        for event in record(agent.run(TASK, stream=True), history, agent=agent):
            if isinstance(event, ActionStep):
                agent.interrupt()
    run = last_run(history)
    assert (run.state, run.error and run.error.message) == ("failed", "Agent interrupted.")
    assert not history.get_messages(states=["open"])


def test_a_generator_that_ignores_being_closed_is_closed_all_the_same(history: History) -> None:
    agent = code_agent(ADDING, ANSWERING)
    recording = record(agent.run(TASK, stream=True), history, agent=agent, strict=True)
    for _ in range(3):
        next(recording)
    recording.close()
    assert last_run(history).state == "cancelled"
    assert shapes(history.get_messages()) == [("reasoning", "cancelled", ADDING[:21])]
    assert len(agent.memory.steps) == 2


def test_closing_takes_the_callbacks_back(history: History) -> None:
    agent, worker = managed("<code>final_answer(4 + 4)</code>")
    recording = record(agent.run(TASK, stream=True), history, agent=agent)
    next(recording)
    assert worker.step_callbacks._callbacks.get(MemoryStep)
    recording.close()
    assert not worker.step_callbacks._callbacks.get(MemoryStep)


def test_a_model_that_breaks_off_fails_the_run_and_what_it_said_so_far(history: History) -> None:
    agent = code_agent(("Thought: add t", ConnectionError("connection reset")))
    with pytest.raises(AgentGenerationError):
        done(agent, history)
    run = last_run(history)
    assert run.state == "failed"
    assert run.error is not None
    assert run.error.type == "AgentGenerationError"
    assert "connection reset" in run.error.message
    assert shapes(history.get_messages())[1:] == [("reasoning", "failed", "Thought: add t")]


def test_steps_that_are_used_up_end_with_a_marked_answer_and_no_step_twice(history: History) -> None:
    model_says = (ADDING, "forced final answer")
    blocks = done(code_agent(*model_says), history, max_steps=1)
    assert [block.type for block in blocks] == [
        *("message", "reasoning", "function_call", "function_result", "error", "message")
    ]
    assert blocks[-1].text == "forced final answer"
    assert blocks[-1].data == {"stop_reason": "max_steps"}
    assert blocks[-2].data == {"type": AgentMaxStepsError.__name__}
    assert usage_of(blocks, "input_tokens") == [2 * INPUT]
    assert last_run(history).state == "completed"
