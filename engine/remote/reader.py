"""From what another server sends to our events, its speed measured by our clock. Pure.

Servers differ: reasoning is called ``reasoning_content`` or ``reasoning``, some answer whole where
a stream was asked for, and some put things between that nobody knows.
"""

import json
from collections.abc import Callable
from typing import Any

from engine.errors import RemoteBroken, RemoteRefused
from engine.foreign_json import writable
from engine.records import (
    ChatEvent,
    FinishReason,
    GenerationStats,
    ReasoningDelta,
    TextDelta,
    ToolCall,
    ToolCalls,
)
from engine.remote.think_marks import ThinkMarks

MAX_ANSWER_CHARS = 4_000_000
MAX_TOLD_CHARS = 300
MAX_CALLS = 128
_MAX_TOKENS = 10**9
_DONE = "[DONE]"
_REASONS: dict[str, FinishReason] = {"length": "length", "max_tokens": "length"}


class AnswerReader:
    """Reads one answer. ``clock`` gives seconds; the answer was asked for when this was made."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._asked_at = clock()
        self._first_at: float | None = None
        self._last_at = self._asked_at
        self._pieces = 0
        self._chars = 0
        self._usage: dict[str, Any] = {}
        self._marks = ThinkMarks()
        self._calls: dict[int, dict[str, str]] = {}
        self.reason: FinishReason | None = None
        self.is_done = False
        self.is_answer = False

    def read(self, data: str) -> list[ChatEvent]:
        """The news in one event's data; none when it is nothing we know.

        Raises RemoteRefused when the server tells of an error, RemoteBroken when it never ends.
        """
        if data == _DONE:
            self.is_done = True
            return []
        try:
            value = json.loads(data)
        except (ValueError, RecursionError):
            return []
        return self.take(value)

    def take(self, value: object) -> list[ChatEvent]:
        """As ``read``, from a JSON value."""
        if not isinstance(value, dict):
            return []
        if value.get("error"):
            raise RemoteRefused(f"The server says: {told_error(value)}", "Ask again, or change it.")
        if isinstance(value.get("usage"), dict):
            self._usage = value["usage"]
        choices = value.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(choice, dict):
            return []
        self.is_answer = True
        if isinstance(reason := choice.get("finish_reason"), str):
            self.reason = _REASONS.get(reason, "stop")
        delta = choice.get("delta") or choice.get("message")
        return self._news(delta) if isinstance(delta, dict) else []

    def stats(self) -> GenerationStats:
        """Figures so far. Tokens are the server's count, or one for every piece that came."""
        told = self._count("completion_tokens")
        output_tokens = told if told is not None else self._pieces
        decode_s = self._last_at - (self._first_at or self._last_at)
        details = self._usage.get("prompt_tokens_details")
        cached = details.get("cached_tokens") if isinstance(details, dict) else None
        more_tokens = max(0, output_tokens - 1)
        return GenerationStats(
            prompt_tokens=self._count("prompt_tokens") or 0,
            reused_tokens=_whole(cached) or 0,
            output_tokens=output_tokens,
            time_to_first_token_s=(self._first_at or self._asked_at) - self._asked_at,
            decode_per_s=more_tokens / decode_s if decode_s > 0 else 0.0,
        )

    def ending(self, is_whole: bool) -> list[ChatEvent]:
        """What was held back; with the tool calls, where the answer came to its end."""
        events = _deltas(*self._marks.rest())
        if is_whole and (calls := self._made_calls()):
            events.append(ToolCalls(calls))
        return events

    def _made_calls(self) -> tuple[ToolCall, ...]:
        return tuple(
            ToolCall(call["id"] or f"call_{place}", call["name"], call["arguments"] or "{}")
            for place, call in sorted(self._calls.items())
            if call["name"]
        )

    def _take_calls(self, raw: object) -> None:
        """Add pieces of calls to what has come of them."""
        for place, one in enumerate(raw if isinstance(raw, list) else ()):
            if not isinstance(one, dict):
                continue
            index = _whole(one.get("index"))
            index = place if index is None else index
            if index >= MAX_CALLS:
                continue
            call = self._calls.setdefault(index, {"id": "", "name": "", "arguments": ""})
            function = one.get("function")
            function = function if isinstance(function, dict) else {}
            call["id"] = call["id"] or _text(one.get("id"))
            call["name"] = call["name"] or _text(function.get("name"))
            arguments = _text(function.get("arguments"))
            call["arguments"] += arguments
            self._chars += len(arguments)

    def _news(self, delta: dict[str, Any]) -> list[ChatEvent]:
        thought = _text(delta.get("reasoning_content") or delta.get("reasoning"))
        text = _text(delta.get("content"))
        self._take_calls(delta.get("tool_calls"))
        if thought or text:
            self._last_at = self._clock()
            self._first_at = self._first_at or self._last_at
            self._pieces += 1
            self._chars += len(thought) + len(text)
        if self._chars > MAX_ANSWER_CHARS:
            raise RemoteBroken("The server's answer has no end.", "Ask another model.")
        marked, said = self._marks.split(text) if text else ("", "")
        return _deltas(thought + marked, said)

    def _count(self, name: str) -> int | None:
        return _whole(self._usage.get(name))


def _whole(value: object) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MAX_TOKENS:
        return value
    return None


def _deltas(thought: str, text: str) -> list[ChatEvent]:
    events: list[ChatEvent] = [ReasoningDelta(thought)] if thought else []
    return [*events, TextDelta(text)] if text else events


def _text(value: object) -> str:
    return writable(value) if isinstance(value, str) else ""


def told_error(value: object) -> str:
    """What a server says of an error, as one short line."""
    error = value.get("error", value) if isinstance(value, dict) else value
    if isinstance(error, dict):
        error = error.get("message") or error.get("detail") or error.get("code")
    text = " ".join(str(error or "").split())
    if not text or not text.isprintable():
        return "an error without a reason."
    return text if len(text) <= MAX_TOLD_CHARS else f"{text[:MAX_TOLD_CHARS]}…"
