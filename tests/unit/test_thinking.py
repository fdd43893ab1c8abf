"""What models think aloud, taken from what they say, wherever the text is cut into pieces."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from chatstore.recorders.shared.thinking import BEGIN, END, Thinking

some_text = st.text(st.sampled_from("<>/think ab\n"), max_size=12)


def told(pieces: list[str]) -> tuple[str, str]:
    """What was thought and what was said."""
    thinking, found = Thinking(), {True: "", False: ""}
    for piece in pieces:
        for is_thought, text in thinking.split(piece):
            found[is_thought] += text
    for is_thought, text in thinking.rest():
        found[is_thought] += text
    return found[True], found[False]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ("", "")),
        ("plain", ("", "plain")),
        ("a <think>b</think>", ("", "a <think>b</think>")),
        ("<think>a</think>b", ("a", "b")),
        ("<think>a</think>\n\n b\n", ("a", "b\n")),
        ("<think>a</think>", ("a", "")),
        ("<think>a</th", ("a</th", "")),
        ("<thin", ("", "<thin")),
        ("<think></think>b", ("", "b")),
    ],
)
def test_whole(text: str, expected: tuple[str, str]) -> None:
    assert told([text]) == expected


@given(st.booleans(), some_text, some_text, st.data())
def test_it_does_not_matter_where_the_text_is_cut(thinks: bool, thought: str, said: str, data: st.DataObject) -> None:
    text = f"{BEGIN}{thought}{END}{said}" if thinks else said
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pieces = [text[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert told(pieces) == told([text])


@given(some_text)
def test_nothing_is_lost_of_what_is_said_without_thinking(said: str) -> None:
    if not said.startswith(BEGIN):
        assert told([*said]) == ("", said)


@given(st.text(st.sampled_from("<>/think ab"), max_size=12))
def test_what_can_be_told_is_told_at_once(thought: str) -> None:
    assume(END not in thought)
    thinking = Thinking()
    shown = "".join(text for _, text in thinking.split(f"{BEGIN}{thought}"))
    assert len(thought) - len(shown) < len(END)
