"""Logs as Claude Code writes them: an entry a line, each with who wrote it, where and when, and what came before."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SESSION = "0a1b2c3d-0000-4000-8000-000000000001"
USAGE = {"input_tokens": 10, "output_tokens": 1, "cache_read_input_tokens": 5}
WHOLE = {**USAGE, "output_tokens": 42}


class Log:
    """A log that is written entry by entry."""

    def __init__(self, session: str = SESSION, **common: Any) -> None:
        self.session = session
        self.entries: list[dict[str, Any]] = []
        self._common = {"isSidechain": False, "userType": "external", "cwd": "/home/ann/code", "version": "2.1.12"}
        self._common |= {"gitBranch": "main", **common}

    def entry(self, type: str, **fields: Any) -> dict[str, Any]:
        """An entry that is part of the conversation."""
        number = len(self.entries)
        above = self.entries[-1].get("uuid") if self.entries else None
        found = {"parentUuid": above, **self._common, "sessionId": self.session, "type": type, **fields}
        found |= {"uuid": f"{self.session[-4:]}-{number}", "timestamp": f"2026-11-21T02:00:{number:02}.000Z"}
        self.entries.append(found)
        return found

    def beside(self, type: str, **fields: Any) -> None:
        """An entry without an id."""
        self.entries.append({"type": type, **fields})

    def user(self, content: Any, **fields: Any) -> None:
        """What a person, or a tool, said."""
        self.entry("user", message={"role": "user", "content": content}, **fields)

    def assistant(self, id: str, item: dict[str, Any], usage: dict[str, Any] = USAGE, **fields: Any) -> None:
        """One piece of what the model said; a message is as many entries as it has pieces."""
        message = {"id": id, "type": "message", "role": "assistant", "model": "claude-opus-4-8", "content": [item]}
        message |= {"stop_reason": None, "stop_sequence": None, "usage": usage}
        self.entry("assistant", message=message, requestId=f"req_{id}", **fields)

    def write(self, path: Path, *more: bytes) -> Path:
        """The log as a file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        content = b"".join(json.dumps(entry).encode() + b"\n" for entry in self.entries)
        path.write_bytes(content + b"".join(more))
        return path


def session(id: str = SESSION) -> Log:
    """A short session: thoughts, a call with its result, a picture, a compaction."""
    log = Log(id)
    log.beside(
        "queue-operation", operation="enqueue", timestamp="2026-11-21T02:00:00.000Z", sessionId=id, content="Fix"
    )
    log.beside("file-history-snapshot", messageId="x", snapshot={"trackedFileBackups": {}}, isSnapshotUpdate=False)
    log.user("Fix the test", permissionMode="default")
    log.assistant("m1", {"type": "thinking", "thinking": "I look first.", "signature": "c2ln"})
    log.assistant("m1", {"type": "text", "text": "I look."})
    log.assistant("m1", {"type": "tool_use", "id": "toolu_1", "name": "Read", "input": {"file_path": "a.py"}}, WHOLE)
    done = {"tool_use_id": "toolu_1", "type": "tool_result", "content": "1\tassert False", "is_error": False}
    log.user([done], toolUseResult={"type": "text", "file": {"filePath": "a.py"}})
    log.user("<system-reminder>Be brief</system-reminder>", isMeta=True)
    log.entry("attachment", attachment={"type": "file", "filename": "a.py"})
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}
    log.user([{"type": "text", "text": "See"}, picture])
    boundary = {"trigger": "auto", "preTokens": 155_000}
    log.entry("system", subtype="compact_boundary", content="Conversation compacted", compactMetadata=boundary)
    log.user("This session is being continued", isCompactSummary=True, isVisibleInTranscriptOnly=True)
    log.assistant("m2", {"type": "text", "text": "Done."}, USAGE)
    log.beside("summary", summary="Fixing a test", leafUuid="0001-12")
    return log


def agent(of: str = SESSION) -> Log:
    """What an agent of a session wrote."""
    log = Log(of, isSidechain=True, agentId="a1f3")
    log.user("Search for tests")
    log.entries[-1]["uuid"] = "agent-0"
    log.assistant("m9", {"type": "text", "text": "Found one."})
    log.entries[-1]["uuid"] = "agent-1"
    return log
