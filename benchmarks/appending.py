"""Appends one at a time: the next begins when the one before is stored."""

from __future__ import annotations

from functools import partial

from benchmarks.measuring import Benchmark, Contender, Goal
from benchmarks.peers import adk, dbos, langchain, nats, openai_agents, redis, sqlite
from benchmarks.stores import DEFAULT, NOTE_DEFAULT, NOTE_UNSYNCED, UNSYNCED, async_histories, histories
from benchmarks.workloads import awaited, one_at_a_time

_plenty = {"full": 6_000, "quick": 800}
_synced = {"full": 2_000, "quick": 200}
_slow = {"full": 200, "quick": 30}

SYNC = Benchmark(
    "sync-append",
    "append of a message to one context, one at a time (Python without asyncio)",
    (
        Contender("chatstore, token", one_at_a_time(partial(histories, UNSYNCED), **_plenty), NOTE_UNSYNCED),
        Contender(
            "plain sqlite3, not synced", one_at_a_time(partial(sqlite.statements, "NORMAL"), **_plenty), sqlite.NOTE
        ),
        Contender("redis-py XADD, everysec", one_at_a_time(redis.streams, **_plenty), redis.NOTE),
        Contender("LangChain SQLChatMessageHistory", one_at_a_time(langchain.histories, **_slow), langchain.NOTE),
    ),
    (
        Goal(
            "sync append, neither synced: time, as a multiple of plain sqlite3 with the same statements",
            of="chatstore, token",
            to="plain sqlite3, not synced",
            at_most=2.0,
        ),
        Goal(
            "sync append, not synced: rate, as a multiple of redis-py XADD with everysec",
            of="chatstore, token",
            to="redis-py XADD, everysec",
            at_least=2.0,
        ),
    ),
)

ASYNC = Benchmark(
    "async-append",
    "append of a message to one context, each awaited before the next",
    (
        Contender("chatstore, token", awaited(partial(async_histories, UNSYNCED), **_plenty), NOTE_UNSYNCED),
        Contender("redis.asyncio XADD, everysec", awaited(redis.async_streams, **_plenty), redis.NOTE),
        Contender(
            "SQLiteSession, not synced",
            awaited(partial(openai_agents.sessions, "NORMAL"), **_synced),
            openai_agents.NOTE_UNSYNCED,
        ),
        Contender("NATS JetStream", awaited(nats.subjects, **_plenty), nats.NOTE),
        Contender("chatstore", awaited(partial(async_histories, DEFAULT), **_synced), NOTE_DEFAULT),
        Contender(
            "redis.asyncio XADD, always", awaited(partial(redis.async_streams, "always"), **_synced), redis.NOTE_ALWAYS
        ),
        Contender("OpenAI Agents SQLiteSession", awaited(openai_agents.sessions, **_synced), openai_agents.NOTE),
        Contender("Google ADK DatabaseSessionService", awaited(adk.events, **_slow), adk.NOTE),
        Contender("DBOS streams", dbos.streams(**_slow), dbos.NOTE),
    ),
    (
        Goal(
            "awaited append, not synced: rate, as a multiple of redis.asyncio XADD with everysec",
            of="chatstore, token",
            to="redis.asyncio XADD, everysec",
            at_least=1.2,
        ),
        Goal(
            "awaited append, both synced each time: rate, as a multiple of redis.asyncio XADD with always",
            to="redis.asyncio XADD, always",
            at_least=1.2,
        ),
        Goal(
            "awaited append, both synced each time: rate, as a multiple of OpenAI Agents SQLiteSession",
            to="OpenAI Agents SQLiteSession",
            at_least=3.0,
        ),
        Goal(
            "awaited append, neither synced: rate, as a multiple of OpenAI Agents SQLiteSession",
            of="chatstore, token",
            to="SQLiteSession, not synced",
            at_least=3.0,
        ),
    ),
)

BENCHMARKS = (SYNC, ASYNC)
