"""Any messages that JSON can carry come back equal, through a real store."""

from __future__ import annotations

import base64
from itertools import count
from typing import Any

import pytest
from data_support import canonical
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatstore import ChatStore
from chatstore.formats.openai_chat import to_drafts, to_messages

numbers = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(max_size=60) | st.sampled_from(["", "assistant", "a text of more than twenty-five characters", "{}"])
scalars = st.none() | st.booleans() | numbers | texts
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=8
)


def shape(**members: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects that have any of these members, most often as they should be, and sometimes another."""
    known = st.fixed_dictionaries({}, optional={key: value | anything for key, value in members.items()})
    return st.builds(lambda known, more: more | known, known, st.dictionaries(texts, anything, max_size=1))


encoded = st.binary(max_size=40).map(lambda content: base64.b64encode(content).decode())
data_urls = st.builds("data:{};base64,{}".format, st.sampled_from(["image/png", "audio/wav;codecs=1", ""]), encoded)
urls = data_urls | st.just("https://example.com/a.png") | texts
items = st.one_of(
    shape(type=st.just("text"), text=texts),
    shape(type=st.just("image_url"), image_url=urls | shape(url=urls, detail=texts)),
    shape(type=st.just("video_url"), video_url=urls | shape(url=urls)),
    shape(type=st.just("input_audio"), input_audio=shape(data=encoded, format=st.sampled_from(["mp3", "wav", "mpeg"]))),
    shape(type=st.just("file"), file=shape(file_data=urls, filename=texts, file_id=texts)),
    shape(type=st.just("thinking"), thinking=texts | st.lists(shape(type=st.just("text"), text=texts), max_size=2)),
)
contents = texts | st.none() | st.lists(items | anything, max_size=4)
names = st.sampled_from(["f", "g"]) | texts
ids = st.sampled_from(["call_1", "call_2"]) | texts
arguments = st.sampled_from(["{}", "", "{", '{"a": [1, 1.0, true]}', '{"a": 1e999}']) | texts
functions = shape(name=names, arguments=arguments)
calls = shape(id=ids, type=st.just("function"), function=functions | names, index=numbers)
messages = st.one_of(
    shape(role=st.sampled_from(["system", "developer", "user", "critic"]), content=contents, name=names),
    shape(
        role=st.just("assistant"),
        content=contents,
        name=names,
        tool_calls=st.lists(calls | anything, max_size=3),
        function_call=functions,
        reasoning=texts,
        reasoning_content=texts,
        refusal=texts,
        audio=shape(data=encoded, transcript=texts),
        _usage=st.dictionaries(texts, numbers, max_size=2),
    ),
    shape(role=st.sampled_from(["tool", "function"]), content=contents, tool_call_id=ids, name=names),
)


@pytest.fixture
def contexts() -> count[int]:
    return count()


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(conversation=st.lists(messages, max_size=5))
def test_an_export_of_an_import_is_equal(
    store: ChatStore, contexts: count[int], conversation: list[dict[str, Any]]
) -> None:
    history = store.history(f"c{next(contexts)}")
    history.append(to_drafts(conversation))
    exported = list(to_messages(history.get_messages(), store.read_bytes))
    assert canonical(exported) == canonical(conversation)
