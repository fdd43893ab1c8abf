"""The Claude Agent SDK: its sessions, kept in a store, and its messages, recorded as they come.

`ClaudeSessionStore(store)` is for `ClaudeAgentOptions(session_store=…)`: the SDK's own record of a session, from which
it resumes. `record(query(…), history)` is for people who watch: text as it is written, how the run ended, what it cost.
They write into histories of their own; a session's history is not recorded into.
"""

from __future__ import annotations

from chatstore.recorders.claude_agent.script import ClaudeScript, record
from chatstore.recorders.claude_agent.sessions import ClaudeSessionStore

__all__ = ["ClaudeScript", "ClaudeSessionStore", "record"]
