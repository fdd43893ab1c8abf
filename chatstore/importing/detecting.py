"""Which format a file has, by how it begins."""

from __future__ import annotations

import json
import re
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from chatstore.databases.foreign import ForeignFile, begins_one
from chatstore.errors import InvalidInput
from chatstore.importing.agui_events import KNOWN

ENOUGH: Final = 64 * 1024
"""Bytes that tell a format."""
_BLANK: Final = b"\xef\xbb\xbf \t\r\n"
_SENT: Final = (b"data:", b"event:", b"id:", b"retry:", b":")
_TYPE: Final = re.compile(r'"type"\s*:\s*"([A-Za-z_-]+)"')
_AUTOGEN: Final = re.compile(r'"(agent_states|llm_context|message_thread|inner_team_state)"\s*:')
_CLAUDE: Final = re.compile(r'"(sessionId|parentUuid|leafUuid)"\s*:|"type"\s*:\s*"file-history-snapshot"')


class Format(StrEnum):
    """What is imported."""

    openai = "openai"
    openai_agents = "openai-agents"
    langchain = "langchain"
    claude_code = "claude-code"
    autogen = "autogen"
    agui = "agui"


def format_of(start: bytes, path: Path | None) -> Format:
    """The format of a file that begins so; OpenAI chat messages where it tells no other.

    Raises an InvalidInput for a database that is of none.
    """
    if begins_one(start):
        return _of_database(path)
    start = start.lstrip(_BLANK)
    if start.startswith(_SENT):
        return Format.agui
    text = start.decode("utf-8", "replace")
    first = _first(text)
    types = [first["type"]] if isinstance(first.get("type"), str) else _TYPE.findall(text)[:1]
    if any(map(KNOWN.fullmatch, types)) and "role" not in first:
        return Format.agui
    if first:
        return _of_object(first)
    if text.startswith("{") and "messages" not in text[:20]:
        return Format.autogen if _AUTOGEN.search(text) else Format.claude_code if _is_claude(text) else Format.openai
    return Format.openai


def _first(text: str) -> dict[str, Any]:
    """The object on the first line, where that is whole."""
    line, broken, _ = text.partition("\n")
    try:
        value = json.loads(line) if broken or line.rstrip().endswith("}") else None
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _of_object(first: dict[str, Any]) -> Format:
    if "messages" in first or "role" in first:
        return Format.openai
    if any(name in first for name in ("agent_states", "llm_context", "message_thread", "inner_team_state")):
        return Format.autogen
    named = any(name in first for name in ("sessionId", "parentUuid", "leafUuid"))
    if "type" in first and (named or first["type"] == "file-history-snapshot"):
        return Format.claude_code
    return Format.openai


def _is_claude(text: str) -> bool:
    return bool(_CLAUDE.search(text)) and "\n" not in text[:3]


def _of_database(path: Path | None) -> Format:
    if path is None:
        raise InvalidInput("a database is read where it is: give the name of its file")
    tables = [{*columns} for columns in ForeignFile(path).tables().values()]
    if any({"session_id", "message_data"} <= columns for columns in tables):
        return Format.openai_agents
    if any({"session_id", "message"} <= columns for columns in tables):
        return Format.langchain
    raise InvalidInput(
        "it is a database, and has neither sessions of OpenAI Agents nor messages of LangChain; a store of chatstore"
        " is copied with `chatstore copy`"
    )
