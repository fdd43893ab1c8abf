"""What the events of Google's Agent Development Kit mean.

Seen with google-adk 2.13. A model that streams gives pieces, marked `partial`, and then all of it once more.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count, groupby
from typing import Any, Final

from chatstore.model import JsonValue, Part
from chatstore.recorders.google_adk.ends import Owed, is_event
from chatstore.recorders.google_adk.parts import answer_of, arguments_of, kind_of, name_of, part_of, usage_of
from chatstore.recorders.machine.script import Begin, Finish, Grow, Key, Mark, Put, Script, Step, as_json
from chatstore.recorders.shared.lenient import Lenient, each
from chatstore.recorders.shared.marks import FINAL
from chatstore.recorders.shared.provider_events import stopped

_USER: Final = "user"


@dataclass
class UserSaid:
    """What came into an invocation: a message, or answers to calls of an earlier one. `internal`: of another agent."""

    content: Any
    invocation_id: str | None
    internal: bool = False


@dataclass
class Ended:
    """The runner says that the invocation is over."""


@dataclass
class _Piece:
    """Text that came by pieces, of one kind."""

    key: Key
    kind: str
    data: dict[str, JsonValue]
    text: str = ""
    open: bool = True


@dataclass
class _Saying:
    """What an agent says at the moment."""

    pieces: list[_Piece] = field(default_factory=list)


class AdkScript(Script[Any]):
    """One block for each message and each thought, grown from its pieces, for each call and each result."""

    extra = "google-adk"

    def __init__(self) -> None:
        super().__init__()
        self._prompt: str | None = None
        self._inner = False
        self._began = False
        self._sayings: dict[Any, _Saying] = {}
        self._calls: dict[str, Key] = {}
        self._waiting: dict[str, str | None] = {}
        self._due: set[str] = set()
        self._owed = Owed()
        self._heard: dict[str, _Piece] = {}
        self._costs: dict[Key, dict[str, JsonValue]] = {}
        self._numbers = count()
        self._answer: Key | None = None

    def asked(self, prompt: str) -> Iterator[Step]:
        """The prompt, which a plugin may tell once more."""
        self._prompt = prompt
        return iter(super().asked(prompt))

    def read(self, event: Any) -> Iterator[Step]:
        """An event of a runner, or what a plugin heard."""
        if isinstance(event, UserSaid):
            yield from self._user(event)
        elif isinstance(event, Ended):
            self.complete = not any(saying.pieces for saying in self._sayings.values())
        elif is_event(event):
            self._began = True
            yield from self._event(Lenient(event))

    def finish(self) -> Iterator[Step]:
        """The last that an agent said is the answer; calls that nobody answered end with the run."""
        for id in self._waiting:
            yield Finish(self._calls[id], usage=self._costs.pop(self._calls[id], None))
        if self._answer is not None and not self._inner:
            yield Mark(self._answer, [FINAL])

    def _user(self, event: UserSaid) -> Iterator[Step]:
        parts = each(Lenient(event.content).parts)
        text, others = _joined(parts)
        self._inner = event.internal
        for part in parts:
            if part.function_response is not None:
                yield from self._response(Lenient(part.function_response), _USER)
        if (text or others) and (text != self._prompt or others):
            data = _known(invocation_id=event.invocation_id)
            yield Put(role=_USER, text=text, parts=others, data=data, internal=event.internal)

    def _event(self, event: Lenient) -> Iterator[Step]:
        yield from self._transcripts(event)
        parts = each(Lenient(event.content).parts)
        who = (event.author, event.branch, Lenient(event.node_info).path)
        if event.partial:
            self.complete = False
            yield from self._pieces(who, event, parts)
            return
        if event.interrupted:
            yield from self._interrupted(who, event)
        kinds = {kind_of(part) for part in parts}
        self._owed.hear(event, kinds)
        if parts:
            self.error = None
            self._judge(event, kinds)
            yield from self._whole(who, event, parts)
        elif event.error_code:
            yield from self._failed(who, event)
        yield from self._actions(event)

    def _judge(self, event: Lenient, kinds: set[str]) -> None:
        """Whether this may be the last that an agent says. One that goes on waits for nothing any more."""
        if kinds & {"message", "reasoning"}:
            self._due.clear()
        last = Lenient(event.actions).skip_summarization or event.long_running_tool_ids
        self.complete: bool = bool(last) or not kinds & {"function_call", "function_response"}

    @property
    def has_end(self) -> bool:  # type: ignore[override]
        """Whether something is missing; what ends with nothing missing is whole."""
        said = any(saying.pieces for saying in self._sayings.values())
        return bool(said or self._owed.now or self._due or self._heard) or not self._began

    def _said_by(self, event: Lenient) -> dict[str, Any]:
        if event.author == _USER:
            return {"role": _USER, "author": None}
        return {"role": "assistant", "author": event.author or None}

    def _pieces(self, who: Any, event: Lenient, parts: list[Lenient]) -> Iterator[Step]:
        saying = self._sayings.setdefault(who, _Saying())
        for part in parts:
            kind = kind_of(part)
            if kind not in ("message", "reasoning") or not part.text:
                continue  # calls that are not all there must not be taken for calls
            last = saying.pieces[-1] if saying.pieces else None
            if last is None or last.kind != kind:
                if last is not None:
                    yield from self._close(last)
                data = _known(event_id=event.id, branch=event.branch)
                last = _Piece(("piece", next(self._numbers)), kind, data)
                saying.pieces.append(last)
                yield Begin(last.key, kind, data={**data}, **self._said_by(event))
            last.text += part.text
            yield Grow(last.key, part.text)

    def _close(self, piece: _Piece, **finish: Any) -> Iterator[Step]:
        if piece.open:
            piece.open = False
            yield Finish(piece.key, **finish)

    def _whole(self, who: Any, event: Lenient, parts: list[Lenient]) -> Iterator[Step]:
        """All of what a model said, and what else comes at once."""
        saying, steps = self._sayings.pop(who, _Saying()), list[Step]()
        for kind, group in groupby(parts, kind_of):
            if kind in ("message", "reasoning"):
                steps += self._text(saying, kind, event, [*group])
            else:
                steps += [step for part in group for step in self._part(kind, event, part)]
        steps += [step for piece in saying.pieces for step in self._close(piece)]
        if (usage := usage_of(event.usage_metadata)) is not None:
            self._spent(usage, steps)
        yield from steps
        if (reason := name_of(event.finish_reason or event.error_code)) is not None:
            keys = [step.key for step in steps if isinstance(step, (Begin, Put, Finish)) and step.key is not None]
            yield from stopped(keys[-1] if keys else None, reason)

    def _spent(self, usage: dict[str, JsonValue], steps: list[Step]) -> None:
        """What an event cost is on the last block that ends with it, or on its first call as that ends."""
        ending = next((step for step in reversed(steps) if isinstance(step, (Put, Finish))), None)
        begun = next((step.key for step in steps if isinstance(step, Begin)), None)
        if ending is not None:
            ending.usage = usage
        elif begun is not None:
            self._costs[begun] = usage

    def _text(self, saying: _Saying, kind: str, event: Lenient, parts: list[Lenient]) -> Iterator[Step]:
        """Text of one kind: what of it came by pieces is not said again."""
        text, others = _joined(parts)
        data, said = self._data(event, parts), self._said_by(event)
        for piece in [one for one in saying.pieces if one.kind == kind]:
            if not piece.open and not text.startswith(piece.text):
                continue
            saying.pieces.remove(piece)
            self._answered(piece.key, kind, said)
            if piece.open:
                yield from self._close(piece, text=text, data={**piece.data, **data})
                text = ""
            text = text[len(piece.text) :]
        if text or others:
            key = ("whole", next(self._numbers))
            self._answered(key, kind, said)
            yield Put(kind, text=text, parts=others, data=data, key=key, **said)

    def _answered(self, key: Key, kind: str, said: dict[str, Any]) -> None:
        if kind == "message" and said["role"] == "assistant":
            self._answer = key

    def _data(self, event: Lenient, parts: list[Lenient]) -> dict[str, JsonValue]:
        found = {"event_id": event.id, "branch": event.branch, "model": event.model_version}
        found["finish_reason"] = name_of(event.finish_reason)
        found |= {"error_code": event.error_code, "error_message": event.error_message}
        signature = next((part.thought_signature for part in parts if part.thought_signature), None)
        if isinstance(signature, bytes):
            found["thought_signature"] = signature.hex()
        for name in ("grounding_metadata", "citation_metadata", "custom_metadata"):
            if value := getattr(event, name):
                found[name] = as_json(value)
        return _known(**found)

    def _part(self, kind: str, event: Lenient, part: Lenient) -> Iterator[Step]:
        said = self._said_by(event)
        if kind == "function_call":
            yield from self._call(event, Lenient(part.function_call), said)
        elif kind == "function_response":
            yield from self._response(Lenient(part.function_response), event.author)
        elif kind == "code":
            code = Lenient(part.executable_code)
            yield Put("code", text=code.code or "", data=_known(language=name_of(code.language)), **said)
        elif kind == "code_result":
            result = Lenient(part.code_execution_result)
            data = _known(outcome=name_of(result.outcome))
            yield Put("code_result", text=result.output or "", data=data, **{**said, "role": "tool"})

    def _call(self, event: Lenient, call: Lenient, said: dict[str, Any]) -> Iterator[Step]:
        id = call.id or f"call-{next(self._numbers)}"
        key = self._calls[id] = ("call", next(self._numbers))
        slow = id in (event.long_running_tool_ids or ())
        if slow:
            self._owed.slow.add(id)
        else:
            self._waiting[id] = call.name
            self._due.add(id)
        data = _known(name=call.name, call_id=call.id, event_id=event.id, long_running=slow or None)
        yield Begin(key, "function_call", data=data, **said)
        yield Grow(key, arguments_of(call))
        if slow:  # its answer may come in another invocation
            yield Finish(key)

    def _response(self, response: Lenient, author: Any) -> Iterator[Step]:
        id = response.id or next((id for id, name in self._waiting.items() if name == response.name), "")
        key = self._calls.get(id)
        if key is not None and id in self._waiting:
            del self._waiting[id]
            self._due.discard(id)
            yield Finish(key, usage=self._costs.pop(key, None))
        text, native, error = answer_of(response.response)
        data = _known(call_id=response.id, name=response.name, response=native)
        parts = [found for one in each(response.parts) if (found := part_of(one)) is not None]
        author = None if author == _USER else author
        yield Put(
            "function_result", "tool", text, author=author, data={**data, "is_error": error}, parts=parts, parent=key
        )

    def _failed(self, who: Any, event: Lenient) -> Iterator[Step]:
        text = str(event.error_message or event.error_code)
        for piece in self._sayings.pop(who, _Saying()).pieces:
            yield from self._close(piece, error=text)
        self.error = f"{event.error_code}: {event.error_message}" if event.error_message else str(event.error_code)
        yield Put(
            "error", text=text, author=event.author or None, data=_known(code=event.error_code, event_id=event.id)
        )

    def _interrupted(self, who: Any, event: Lenient) -> Iterator[Step]:
        """Somebody spoke while the model did."""
        pieces = [*self._sayings.pop(who, _Saying()).pieces, *self._heard.values()]
        self._heard = {}
        for piece in pieces:
            yield from self._close(piece, data={**piece.data, "interrupted": True})
        yield Put("status", text="interrupted", author=event.author or None, data={"event_id": event.id})

    def _transcripts(self, event: Lenient) -> Iterator[Step]:
        """What was spoken, as text: by pieces, and then all of it."""
        for name, role in (("input_transcription", _USER), ("output_transcription", "assistant")):
            spoken = Lenient(getattr(event, name))
            if spoken.it is None or not spoken.text:
                continue
            piece = self._heard.get(name)
            if piece is None:
                data: dict[str, JsonValue] = {"event_id": event.id, "spoken": True}
                piece = self._heard[name] = _Piece((name, next(self._numbers)), "message", data)
                author = None if role == _USER else event.author or None
                yield Begin(piece.key, role=role, author=author, data={**data})
            if event.partial and not spoken.finished:
                piece.text += spoken.text
                yield Grow(piece.key, spoken.text)
            else:
                del self._heard[name]
                whole = spoken.text if spoken.text.startswith(piece.text) else piece.text + spoken.text
                yield from self._close(piece, text=whole)
                if role == "assistant":
                    self._answer = piece.key

    def _actions(self, event: Lenient) -> Iterator[Step]:
        actions, by = Lenient(event.actions), dict[str, Any](author=event.author or None)
        if actions.transfer_to_agent:
            data = _known(target=actions.transfer_to_agent, reason=actions.transfer_reason, event_id=event.id)
            yield Put("handoff", text=str(actions.transfer_reason or ""), data=data, **by)
        if actions.escalate:
            yield Put("status", text="escalated", data={"escalate": True, "event_id": event.id}, **by)
        # What begins with temp: is never stored by the framework either.
        changed = {name: value for name, value in (actions.state_delta or {}).items() if not name.startswith("temp:")}
        if changed:
            yield Put("status", text="state", data={"state_delta": as_json(changed)}, internal=True, **by)
        if actions.artifact_delta:
            text = ", ".join(map(str, actions.artifact_delta))
            yield Put("status", text=text, data={"artifact_delta": as_json(actions.artifact_delta)}, **by)
        for id in actions.requested_auth_configs or ():  # what they hold is secret
            yield Put(
                "input_request", data={"waits_for": "credential", "call_id": id}, parent=self._calls.get(id), **by
            )
        if (compaction := Lenient(actions.compaction)).it is not None:
            text, _ = _joined(each(Lenient(compaction.compacted_content).parts))
            yield Put("compaction", text=text, internal=True, **by)
        if event.output is not None and not each(Lenient(event.content).parts):
            native = as_json(event.output)
            text = native if isinstance(native, str) else json.dumps(native, ensure_ascii=False)
            yield Put("output", text=text, data={"output": native, "event_id": event.id}, **by)


def _joined(parts: list[Lenient]) -> tuple[str, list[Part]]:
    """The text of parts, and those that are no text."""
    text = "".join(part.text for part in parts if isinstance(part.text, str))
    return text, [found for part in parts if (found := part_of(part)) is not None]


def _known(**data: Any) -> dict[str, JsonValue]:
    return {name: value for name, value in data.items() if value not in (None, "")}
