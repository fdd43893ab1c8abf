"""Graphs of LangGraph: nodes, agents in agents, who is shown, interrupts, handoffs, and what is told between."""

from __future__ import annotations

import operator
from typing import Annotated, Any, TypedDict

import pytest
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain_core.callbacks import adispatch_custom_event, dispatch_custom_event
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command, interrupt
from scripted_chat import FACES, Recorded, adder, ask, call, lines, model

from chatstore import ChatStore, TextAppended

THREAD = {"configurable": {"thread_id": "1"}}


def speaker(*answers: Any) -> Any:
    """A node whose model speaks."""
    chat = model(*answers)

    def node(state: MessagesState) -> Any:
        return {"messages": [chat.invoke(state["messages"])]}

    return node


def chain_of(**nodes: Any) -> Any:
    """A graph whose nodes run one after the other."""
    graph = StateGraph(MessagesState)
    names = [*nodes]
    for name, node in nodes.items():
        graph.add_node(name, node)
    for one, other in zip([START, *names], [*names, END], strict=True):
        graph.add_edge(one, other)
    return graph.compile(checkpointer=InMemorySaver())


def test_nodes_speak_by_their_names(recorded: Recorded) -> None:
    graph = chain_of(researcher=speaker(["I ", "looked"]), writer=speaker(["I ", "wrote"]))
    recorded.stream(graph, ask(), config=THREAD)
    said = [("message", None, "add 2 and 3"), ("message", "researcher", "I looked"), ("message", "writer", "I wrote")]
    assert lines(recorded.blocks()) == said
    assert [len(block.tags) for block in recorded.blocks()] == [0, 0, 1]


def test_only_who_is_shown_is_in_the_transcript(recorded: Recorded) -> None:
    inner = adder([call("add", '{"a": 2, "b": 3}')], ["looked"], name="scout")
    graph = chain_of(researcher=inner, writer=speaker(["wrote"]))
    recorded.stream(graph, ask(), config=THREAD, shown=["writer"])
    assert [block.text for block in recorded.blocks(kind="transcript")] == ["add 2 and 3", "wrote"]
    assert {block.author for block in recorded.blocks() if block.internal} == {"scout"}
    assert "looked" in [block.text for block in recorded.blocks()]


@pytest.mark.parametrize("face", FACES)
def test_only_who_is_streamed_grows(face: str, path: Any) -> None:
    states: dict[str, list[str]] = {}

    def look(name: str, text: str = "") -> Any:
        def looks() -> None:
            with ChatStore(path) as store:
                history = store.history("chat")
                for change in history.subscribe(timeout=30) if text else ():
                    if isinstance(change, TextAppended) and text in change.text:
                        break
                states[name] = [block.state for block in history.get_messages()]

        return looks

    graph = chain_of(
        researcher=speaker(["I ", "looked", look("researcher")]),
        writer=speaker(["I ", "wrote", look("writer", "wrote")]),
    )
    Recorded(face, path).stream(graph, ask(), config=THREAD, streamed=["writer"])
    assert states == {"researcher": ["closed"], "writer": ["closed", "closed", "open"]}


def test_models_that_langgraph_is_told_not_to_stream(recorded: Recorded) -> None:
    chat = model(["quiet ", "words"]).with_config(tags=["nostream"])
    recorded.stream(chain_of(one=lambda state: {"messages": [chat.invoke(state["messages"])]}), ask(), config=THREAD)
    assert [block.text for block in recorded.blocks()] == ["add 2 and 3", "quiet words"]


def test_an_agent_in_a_tool_is_internal_and_below_the_call(recorded: Recorded) -> None:
    inner = adder(["inner ", "words"], name="helper")

    @tool
    def delegate(task: str) -> str:
        """Asks a helper."""
        return str(inner.invoke(ask(task))["messages"][-1].content)

    outer = adder([call("delegate", '{"task": "sum"}')], ["outer"], tools=[delegate], name="boss")
    recorded.stream(outer, ask())
    blocks = recorded.blocks()
    assert [(block.type, block.author, block.text) for block in blocks] == [
        ("message", None, "add 2 and 3"),
        ("function_call", "boss", '{"task": "sum"}'),
        ("message", "helper", "inner words"),
        ("function_result", "boss", "inner words"),
        ("message", "boss", "outer"),
    ]
    assert (blocks[2].internal, blocks[2].parent_id) == (True, blocks[1].id)
    assert [block.text for block in recorded.blocks(kind="transcript")] == ["add 2 and 3", "outer"]
    assert len(recorded.runs()) == 1


def test_nodes_that_speak_at_the_same_time(recorded: Recorded) -> None:
    graph = StateGraph(MessagesState)
    names = [f"n{number}" for number in range(5)]
    for name in names:
        graph.add_node(name, speaker([f"{name} says {word} " for word in "abcdefgh"]))
        graph.add_edge(START, name)
        graph.add_edge(name, END)
    recorded.stream(graph.compile(), ask())
    said = {block.author: block.text for block in recorded.blocks(roles=["assistant"])}
    assert said == {name: "".join(f"{name} says {word} " for word in "abcdefgh") for name in names}


def test_messages_that_a_node_makes_itself(recorded: Recorded) -> None:
    def greet(state: MessagesState) -> Any:
        return {"messages": [AIMessage("Welcome.")]}

    def echo(state: MessagesState) -> Any:
        return {"messages": [*state["messages"], AIMessage("Bye.")]}

    recorded.stream(chain_of(greet=greet, echo=echo), ask(), config=THREAD)
    recorded.stream(chain_of(greet=greet, echo=echo), ask("again"), config=THREAD)
    said = [block.text for block in recorded.blocks()]
    assert said == ["add 2 and 3", "Welcome.", "Bye.", "again", "Welcome.", "Bye."]


def test_an_interrupt_is_a_question_and_no_failure(recorded: Recorded) -> None:
    def confirm(state: MessagesState) -> Any:
        answer = interrupt({"question": "Shall I?", "options": ["yes", "no"]})
        return {"messages": [AIMessage(f"You said {answer}.")]}

    graph = chain_of(outer=chain_of(confirm=confirm))
    recorded.invoke(graph, ask(), config=THREAD)
    assert [run.state for run in recorded.runs()] == ["completed"]
    question = recorded.blocks()[-1]
    assert (question.type, question.text, question.state) == ("input_request", "Shall I?", "closed")
    assert question.data["value"]["options"] == ["yes", "no"]
    recorded.invoke(graph, Command(resume="yes"), config=THREAD)
    said = [(block.type, block.role, block.text) for block in recorded.blocks()][2:]
    assert said == [("message", "user", "yes"), ("message", "assistant", "You said yes.")]


def test_an_interrupt_in_a_tool_leaves_the_call_to_be_answered(recorded: Recorded) -> None:
    @tool
    def buy(what: str) -> str:
        """Buys."""
        return f"bought {what}: {interrupt('Really?')}"

    agent = adder([call("buy", '{"what": "tea"}')], ["done"], tools=[buy], checkpointer=InMemorySaver())
    recorded.stream(agent, ask(), config=THREAD)
    assert [block.type for block in recorded.blocks()] == ["message", "function_call", "input_request"]
    recorded.stream(agent, Command(resume="yes"), config=THREAD)
    result = recorded.blocks(types=["function_result"])[0]
    assert (result.text, result.data["call_id"]) == ("bought tea: yes", "c1")
    prompt = [(block.type, block.text) for block in recorded.blocks(kind="prompt")]
    assert ("function_result", "bought tea: yes") in prompt
    assert [run.state for run in recorded.runs()] == ["completed"] * 2


def test_people_that_approve_of_calls(recorded: Recorded) -> None:
    asks_first = HumanInTheLoopMiddleware(interrupt_on={"add": True})
    agent = adder(checkpointer=InMemorySaver(), middleware=[asks_first])
    recorded.stream(agent, ask(), config=THREAD)
    request = recorded.blocks()[-1]
    assert request.type == "input_request"
    assert request.data["value"]["action_requests"][0]["name"] == "add"
    recorded.stream(agent, Command(resume={"decisions": [{"type": "reject", "message": "no"}]}), config=THREAD)
    types = [block.type for block in recorded.blocks()][4:]
    assert types == ["input_response", "function_result", "message"]
    assert recorded.blocks(types=["function_result"])[0].data["is_error"]


def test_a_graph_that_stops_before_a_node(recorded: Recorded) -> None:
    graph = chain_of(one=speaker(["one"]), two=speaker(["two"]))
    graph.interrupt_before_nodes = ["two"]
    recorded.invoke(graph, ask(), config=THREAD)
    request = recorded.blocks()[-1]
    assert (request.type, request.data["status"]) == ("input_request", "interrupt_before")
    assert recorded.runs()[-1].state == "completed"


def test_handoffs(recorded: Recorded) -> None:
    @tool
    def to_writer() -> Command[Any]:
        """Hands over to the writer."""
        told = ToolMessage("handed over", tool_call_id="c1", name="to_writer")
        return Command(goto="writer", graph=Command.PARENT, update={"messages": [told]})

    graph = StateGraph(MessagesState)
    graph.add_node("planner", adder([call("to_writer", "{}")], tools=[to_writer], name="planner"))
    graph.add_node("writer", speaker(["wrote"]))
    graph.add_edge(START, "planner")
    recorded.stream(graph.compile(), ask())
    assert lines(recorded.blocks())[1:] == [
        ("function_call", "planner", "{}"),
        ("function_result", "planner", "handed over"),
        ("handoff", "planner", "writer"),
        ("message", "writer", "wrote"),
    ]
    assert [run.state for run in recorded.runs()] == ["completed"]


def test_a_node_that_hands_over(recorded: Recorded) -> None:
    graph = StateGraph(MessagesState)
    graph.add_node("boss", lambda state: Command(goto="writer"), destinations=("writer",))
    graph.add_node("writer", speaker(["wrote"]))
    graph.add_edge(START, "boss")
    recorded.stream(graph.compile(), ask())
    assert lines(recorded.blocks())[1:] == [("handoff", "boss", "writer"), ("message", "writer", "wrote")]


class Documents(BaseRetriever):
    """Finds what there is, or fails."""

    found: list[Document]

    def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
        if not self.found:
            raise RuntimeError("no index")
        return self.found


def test_retrievers(recorded: Recorded) -> None:
    finds = Documents(found=[Document("cats are small", metadata={"page": 2}, id="d1")])
    chain = finds | RunnableLambda(lambda found: f"by {len(found)}") | model(["Small."])
    recorded.invoke(chain, "how big are cats?")
    looked = next(block for block in recorded.blocks() if block.type == "status")
    assert (looked.text, looked.state) == ("how big are cats?", "closed")
    assert looked.data["documents"] == [{"id": "d1", "metadata": {"page": 2}, "content": "cats are small"}]
    with pytest.raises(RuntimeError, match="no index"):
        recorded.invoke(Documents(found=[]), "dogs?")
    assert recorded.blocks()[-1].state == "failed"


def test_retries(recorded: Recorded) -> None:
    chain = model(["half", RuntimeError("busy")], ["whole"]).with_retry(wait_exponential_jitter=False)
    recorded.invoke(chain, "hi", live=True)
    said = [(block.text, block.state) for block in recorded.blocks()]
    assert said == [("hi", "closed"), ("half", "failed"), ("whole", "closed")]
    assert [run.state for run in recorded.runs()] == ["completed"]


def test_events_of_ones_own_and_blocks_of_a_node(path: Any) -> None:
    def node(state: MessagesState) -> Any:
        dispatch_custom_event("progress", {"done": 1})
        store.history("chat").append_status_message("from inside")
        return {}

    with ChatStore(path) as store:
        recorded = Recorded("sync", path)
        recorded.invoke(chain_of(work=node), ask(), config=THREAD)
        _, event, inside = recorded.blocks()
        assert (event.text, event.data["data"], event.author) == ("progress", {"done": 1}, "work")
        assert inside.run_id == event.run_id == recorded.runs()[0].id
        store.history("chat").append_status_message("outside")
        assert recorded.blocks()[-1].run_id is None


def test_asynchronous_events_of_ones_own(path: Any) -> None:
    async def node(state: MessagesState) -> Any:
        await adispatch_custom_event("progress", "half way")
        return {}

    recorded = Recorded("async", path)
    recorded.invoke(chain_of(work=node), ask(), config=THREAD)
    assert recorded.blocks()[-1].text == "half way"


def test_states_without_messages(recorded: Recorded) -> None:
    class State(TypedDict):
        topic: str
        notes: Annotated[list[str], operator.add]

    chat = model(["a ", "joke"])
    graph = StateGraph(State)
    graph.add_node("joker", lambda state: {"notes": [chat.invoke(f"A joke of {state['topic']}").content]})
    graph.add_edge(START, "joker")
    assert recorded.invoke(graph.compile(), {"topic": "cats"})["notes"] == ["a joke"]
    assert lines(recorded.blocks()) == [("message", None, "A joke of cats"), ("message", "joker", "a joke")]
