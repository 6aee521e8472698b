"""From an answer's events to the JSON of OpenAI's API, whole or in chunks. Pure."""

import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from engine import __version__
from engine.records import (
    ChatEvent,
    Finished,
    FinishReason,
    GenerationStats,
    LocalModel,
    ReasoningDelta,
    TextDelta,
)
from engine.remote import RemoteModel

_REASONS: dict[FinishReason, str] = {
    "stop": "stop", "length": "length", "context": "length", "cancelled": "stop",
}  # fmt: skip


def local_entry(model: LocalModel, started_at: float) -> dict[str, Any]:
    """One line of /v1/models."""
    entry = _entry(model.repo_id, model.downloaded_at or started_at, model.source)
    return {**entry, "context_length": model.context_tokens}


def remote_entry(model: RemoteModel, started_at: float) -> dict[str, Any]:
    """One line of /v1/models for a model of another server."""
    return _entry(model.model_id, started_at, model.source)


def _entry(model_id: str, created_at: float, owner: str) -> dict[str, Any]:
    return {"id": model_id, "object": "model", "created": int(created_at), "owned_by": owner}


def usage(stats: GenerationStats) -> dict[str, Any]:
    """What an answer took, in tokens."""
    return {
        "prompt_tokens": stats.prompt_tokens,
        "completion_tokens": stats.output_tokens,
        "total_tokens": stats.prompt_tokens + stats.output_tokens,
        "prompt_tokens_details": {"cached_tokens": stats.reused_tokens},
    }


@dataclass(frozen=True)
class ChatForm:
    """How the answer to one chat request looks."""

    model: str
    has_usage: bool = False
    answer_id: str = field(default_factory=lambda: f"chatcmpl-{secrets.token_hex(12)}")
    created_at: int = field(default_factory=lambda: int(time.time()))

    def first_chunk(self) -> dict[str, Any]:
        """The chunk that opens a streamed answer."""
        return self._chunk({"role": "assistant", "content": ""})

    def chunks(self, events: Iterable[ChatEvent]) -> list[dict[str, Any]]:
        """Chunks for events; those that say nothing new to a program give none."""
        made = []
        for event in events:
            match event:
                case TextDelta(text):
                    made.append(self._chunk({"content": text}))
                case ReasoningDelta(text):
                    made.append(self._chunk({"reasoning_content": text}))
                case Finished(reason, stats):
                    made.append(self._chunk({}, _REASONS[reason]))
                    if self.has_usage:
                        made.append({**self._head(True), "choices": [], "usage": usage(stats)})
        return made

    def whole(self, events: Iterable[ChatEvent]) -> dict[str, Any]:
        """The answer at once, from all its events."""
        texts, thoughts, finished = [], [], Finished("stop", GenerationStats())
        for event in events:
            match event:
                case TextDelta(text):
                    texts.append(text)
                case ReasoningDelta(text):
                    thoughts.append(text)
                case Finished():
                    finished = event
        message: dict[str, Any] = {
            "role": "assistant", "content": "".join(texts), "refusal": None
        }  # fmt: skip
        if thoughts:
            message["reasoning_content"] = "".join(thoughts)
        choice = {
            "index": 0, "message": message, "logprobs": None,
            "finish_reason": _REASONS[finished.reason],
        }  # fmt: skip
        return {**self._head(False), "choices": [choice], "usage": usage(finished.stats)}

    def _chunk(self, delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        unused: dict[str, Any] = {"usage": None} if self.has_usage else {}
        return {**self._head(True), "choices": [choice], **unused}

    def _head(self, is_chunk: bool) -> dict[str, Any]:
        return {
            "id": self.answer_id,
            "object": "chat.completion.chunk" if is_chunk else "chat.completion",
            "created": self.created_at,
            "model": self.model,
            "system_fingerprint": f"pomona-{__version__}",
        }
