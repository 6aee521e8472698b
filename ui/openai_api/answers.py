"""From an answer's events to the JSON of OpenAI's API, whole or in chunks. Pure."""

import secrets
import time
from collections.abc import Iterable, Sequence
from typing import Any

from engine import __version__
from engine.records import (
    ChatEvent,
    Finished,
    FinishReason,
    GenerationStats,
    LocalModel,
    ReasoningDelta,
    ScoredToken,
    TextDelta,
    ToolCall,
    ToolCalls,
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


class AnswerForm:
    """What the answers to both kinds of request have in common. One for each answer."""

    prefix, whole_kind, chunk_kind = "", "", ""
    prompt_field = "messages"

    def __init__(self, model: str, has_usage: bool = False) -> None:
        self._model = model
        self._has_usage = has_usage
        self._id = f"{self.prefix}-{secrets.token_hex(12)}"
        self._created = int(time.time())

    def chunks(self, events: Iterable[ChatEvent]) -> list[dict[str, Any]]:
        """Chunks for events; those that say nothing new to a program give none."""
        made = []
        for event in events:
            choice = self.choice(event)
            if choice is not None:
                unused: dict[str, Any] = {"usage": None} if self._has_usage else {}
                made.append({**self._head(self.chunk_kind), "choices": [choice], **unused})
            if isinstance(event, Finished) and self._has_usage:
                made.append(
                    {**self._head(self.chunk_kind), "choices": [], "usage": usage(event.stats)}
                )
        return made

    def whole(self, events: Sequence[ChatEvent]) -> dict[str, Any]:
        """The answer at once, from all its events."""
        finished = next(event for event in reversed(events) if isinstance(event, Finished))
        choice = self.whole_choice(events, finished)
        head = self._head(self.whole_kind)
        return {**head, "choices": [choice], "usage": usage(finished.stats)}

    def first_chunk(self) -> dict[str, Any] | None:
        """The chunk that opens a streamed answer, if there is one."""
        return None

    def choice(self, event: ChatEvent) -> dict[str, Any] | None:
        """The choice of one chunk."""
        raise NotImplementedError

    def whole_choice(self, events: Sequence[ChatEvent], finished: Finished) -> dict[str, Any]:
        """The choice of a whole answer."""
        raise NotImplementedError

    def _head(self, kind: str) -> dict[str, Any]:
        return {
            "id": self._id, "object": kind, "created": self._created, "model": self._model,
            "system_fingerprint": f"pomona-{__version__}",
        }  # fmt: skip


class ChatForm(AnswerForm):
    """How the answer to a chat request looks."""

    prefix, whole_kind, chunk_kind = "chatcmpl", "chat.completion", "chat.completion.chunk"

    def __init__(self, model: str, has_usage: bool = False) -> None:
        super().__init__(model, has_usage)
        self._calls = 0

    def first_chunk(self) -> dict[str, Any]:
        """The chunk that says who speaks."""
        choice = _delta({"role": "assistant", "content": ""})
        unused: dict[str, Any] = {"usage": None} if self._has_usage else {}
        return {**self._head(self.chunk_kind), "choices": [choice], **unused}

    def choice(self, event: ChatEvent) -> dict[str, Any] | None:
        """The choice of one chunk."""
        match event:
            case TextDelta(text, tokens):
                return _delta({"content": text}, logprobs=_chat_logprobs(tokens))
            case ReasoningDelta(text):
                return _delta({"reasoning_content": text})
            case ToolCalls(calls):
                return _delta({"tool_calls": self._told_calls(calls, are_numbered=True)})
            case Finished(reason):
                return _delta({}, self._reason(reason))
        return None

    def whole_choice(self, events: Sequence[ChatEvent], finished: Finished) -> dict[str, Any]:
        """The choice of a whole answer."""
        text, tokens = _all_text(events)
        thoughts = "".join(event.text for event in events if isinstance(event, ReasoningDelta))
        made = [call for event in events if isinstance(event, ToolCalls) for call in event.calls]
        calls = self._told_calls(made, are_numbered=False)
        message: dict[str, Any] = {
            "role": "assistant", "content": text or (None if calls else ""), "refusal": None,
        }  # fmt: skip
        if thoughts:
            message["reasoning_content"] = thoughts
        if calls:
            message["tool_calls"] = calls
        return {
            "index": 0, "message": message, "logprobs": _chat_logprobs(tokens),
            "finish_reason": self._reason(finished.reason),
        }  # fmt: skip

    def _told_calls(self, calls: Iterable[ToolCall], are_numbered: bool) -> list[dict[str, Any]]:
        told = []
        for call in calls:
            number: dict[str, Any] = {"index": self._calls} if are_numbered else {}
            function = {"name": call.name, "arguments": call.arguments}
            told.append({**number, "id": call.call_id, "type": "function", "function": function})
            self._calls += 1
        return told

    def _reason(self, reason: FinishReason) -> str:
        return "tool_calls" if self._calls and reason == "stop" else _REASONS[reason]


class CompletionForm(AnswerForm):
    """How the continuation of a text looks."""

    prefix, whole_kind, chunk_kind = "cmpl", "text_completion", "text_completion"
    prompt_field = "prompt"

    def __init__(self, model: str, has_usage: bool = False) -> None:
        super().__init__(model, has_usage)
        self._said_chars = 0

    def choice(self, event: ChatEvent) -> dict[str, Any] | None:
        """The choice of one chunk."""
        match event:
            case TextDelta(text, tokens):
                return self._choice(text, tokens, None)
            case Finished(reason):
                return self._choice("", (), _REASONS[reason])
        return None

    def whole_choice(self, events: Sequence[ChatEvent], finished: Finished) -> dict[str, Any]:
        """The choice of a whole answer."""
        return self._choice(*_all_text(events), _REASONS[finished.reason])

    def _choice(
        self, text: str, tokens: Sequence[ScoredToken], reason: str | None
    ) -> dict[str, Any]:
        offset, self._said_chars = self._said_chars, self._said_chars + len(text)
        logprobs = _text_logprobs(tokens, offset)
        return {"index": 0, "text": text, "logprobs": logprobs, "finish_reason": reason}


def _delta(
    delta: dict[str, Any], reason: str | None = None, logprobs: dict[str, Any] | None = None
) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": reason}


def _all_text(events: Iterable[ChatEvent]) -> tuple[str, tuple[ScoredToken, ...]]:
    deltas = [event for event in events if isinstance(event, TextDelta)]
    tokens = tuple(token for delta in deltas for token in delta.tokens)
    return "".join(delta.text for delta in deltas), tokens


def _chat_logprobs(tokens: Sequence[ScoredToken]) -> dict[str, Any] | None:
    if not tokens:
        return None
    content = [{**_scored(t), "top_logprobs": list(map(_scored, t.likeliest))} for t in tokens]
    return {"content": content, "refusal": None}


def _scored(token: ScoredToken) -> dict[str, Any]:
    return {"token": token.text, "logprob": token.logprob, "bytes": list(token.data)}


def _text_logprobs(tokens: Sequence[ScoredToken], offset: int) -> dict[str, Any] | None:
    if not tokens:
        return None
    offsets = []
    for token in tokens:
        offsets.append(offset)
        offset += len(token.text)
    return {
        "tokens": [token.text for token in tokens],
        "token_logprobs": [token.logprob for token in tokens],
        "top_logprobs": [{one.text: one.logprob for one in t.likeliest} for t in tokens],
        "text_offset": offsets,
    }
