"""Arrays as PostgreSQL's server reads them back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import postgres_server
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatstore.databases.postgres import arrays, text


@pytest.fixture(scope="module")
def conn() -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(postgres_server.server(), autocommit=True) as opened:
        text.register(opened)
        arrays.register(opened)
        yield opened


texts = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(
    ["", "NULL", '{"a"}', "\\", "\x1f", "\0", "\x1a0"]
)
numbers = st.integers(-(2**63), 2**63 - 1)


@pytest.mark.parametrize(
    ("type", "values"),
    [("text", texts), ("bigint", numbers), ("bytea", st.binary()), ("boolean", st.booleans())],
)
def test_an_array_reads_back_as_it_was(conn: psycopg.Connection[Any], type: str, values: Any) -> None:
    @given(st.lists(st.none() | values, min_size=1, max_size=20))
    def check(given: list[Any]) -> None:
        rows = conn.execute(f"SELECT * FROM unnest(%s::{type}[])", [arrays.literal(given)]).fetchall()
        stored = [row[0] for row in rows]
        assert stored == given if any(value is not None for value in given) else stored == []

    check()


def test_a_column_of_nothing_is_as_long_as_the_one_beside_it(conn: psycopg.Connection[Any]) -> None:
    columns = [arrays.literal([1, 2, 3]), arrays.literal([None, None, None])]
    rows = conn.execute("SELECT * FROM unnest(%s::bigint[], %s::text[])", columns).fetchall()
    assert rows == [(1, None), (2, None), (3, None)]
