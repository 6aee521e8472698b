"""The Gradio API: named endpoints for programs, each taking and returning JSON-able values."""

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator
from typing import Any

from gradio.events import api

from engine import Engine
from engine.errors import InvalidRequest
from engine.records import (
    ChatEvent,
    Finished,
    LocalModel,
    Message,
    ReasoningDelta,
    SamplingParams,
    TextDelta,
)
from ui.api_discover import DiscoverApi
from ui.api_manage import ManageApi
from ui.errors import reports_errors
from ui.pacing import poll_pause_s, update_pause_s

LOAD_TIMEOUT_S = 600.0
_PARAM_NAMES = {field.name for field in dataclasses.fields(SamplingParams)} - {"logprobs"}


class ApiHandlers:
    """One method per endpoint."""

    def __init__(self, engine: Engine, default_model: str) -> None:
        self._engine = engine
        self._default_model = default_model
        self._answers = 0

    def machine(self) -> dict[str, Any]:
        """What this computer offers to models."""
        return dataclasses.asdict(self._engine.machine())

    def library(self) -> list[dict[str, Any]]:
        """Models on this computer."""
        self._engine.inference.device_facts()
        loaded = {model.repo_id for model in self._engine.inference.loaded()}
        return [_local_model(m, m.repo_id in loaded) for m in self._engine.library.list()]

    def load(self, repo_id: str) -> list[dict[str, Any]]:
        """Load a model; returns the loaded models with their measured memory."""
        self._engine.inference.load(str(repo_id)).result(LOAD_TIMEOUT_S)
        return self._loaded()

    def unload(self, repo_id: str) -> list[dict[str, Any]]:
        """Free a model; returns the loaded models."""
        self._engine.inference.unload(str(repo_id))
        return self._loaded()

    async def chat(
        self,
        messages: list[dict[str, Any]],
        model: str | None = None,
        params: dict[str, Any] | None = None,
    ) -> AsyncIterator[dict[str, Any]]:
        """Answer a conversation; every value is the answer so far, the last one is whole."""
        chosen = model or self._default_model
        suggested, _ = await asyncio.to_thread(self._engine.suggested, chosen)
        asked = _params(suggested, params or {})
        ticket = self._engine.chat(_messages(messages), asked, chosen)
        answer: dict[str, Any] = {"text": "", "reasoning": "", "finish_reason": None, "stats": {}}
        has_news, update_at = False, 0.0
        self._answers += 1
        try:
            while answer["finish_reason"] is None:
                events = ticket.drain(timeout_s=0)
                for event in events:
                    _apply(answer, event)
                has_news = has_news or bool(events)
                is_due = time.perf_counter() >= update_at or answer["finish_reason"] is not None
                if has_news and is_due:
                    yield dict(answer)
                    has_news, update_at = False, time.perf_counter() + update_pause_s(self._answers)
                if answer["finish_reason"] is None:
                    await asyncio.sleep(poll_pause_s(self._answers))
        finally:
            self._answers -= 1
            ticket.cancel()

    def _loaded(self) -> list[dict[str, Any]]:
        return [dataclasses.asdict(model) for model in self._engine.inference.loaded()]


def wire_api(handlers: ApiHandlers, discover: DiscoverApi, manage: ManageApi) -> None:
    """Publish the endpoints; call inside the Blocks."""
    for room, names in (
        (handlers, ("machine", "library", "load", "unload", "chat")),
        (discover, ("search", "inspect")),
        (manage, ("download", "downloads", "pause_download", "resume_download", "cancel_download",
                  "plan_delete", "delete")),
    ):  # fmt: skip
        for name in names:
            api(reports_errors(getattr(room, name)), api_name=name)


def _apply(answer: dict[str, Any], event: ChatEvent) -> None:
    match event:
        case TextDelta(text):
            answer["text"] += text
        case ReasoningDelta(text):
            answer["reasoning"] += text
        case Finished(reason, stats):
            answer["finish_reason"] = reason
            answer["stats"] = dataclasses.asdict(stats)


def _messages(raw: Any) -> list[Message]:
    if not isinstance(raw, list) or not all(isinstance(entry, dict) for entry in raw):
        raise InvalidRequest("messages must be a list of objects with role and content.")
    return [Message(entry.get("role"), entry.get("content")) for entry in raw]


def _params(suggested: SamplingParams, raw: Any) -> SamplingParams:
    if not isinstance(raw, dict):
        raise InvalidRequest("params must be an object of settings.")
    if unknown := sorted(set(map(str, raw)) - _PARAM_NAMES):
        raise InvalidRequest(
            f"There is no setting {unknown[0][:60]!r}.",
            f"Known: {', '.join(sorted(_PARAM_NAMES))}.",
        )
    stop = raw.get("stop", ())
    listed = {"stop": tuple(stop)} if isinstance(stop, list) else {}
    return dataclasses.replace(suggested, **{**raw, **listed})


def _local_model(model: LocalModel, is_loaded: bool) -> dict[str, Any]:
    return {
        "repo_id": model.repo_id,
        "source": model.source,
        "path": str(model.path),
        "revision": model.revision,
        "size_bytes": model.size_bytes,
        "architecture": model.architecture,
        "quantization": model.quantization,
        "context_tokens": model.context_tokens,
        "memory_bytes": model.memory.total_bytes if model.memory else None,
        "fit": model.memory.fit if model.memory else "unknown",
        "chat_ready": model.will_chat,
        "blockers": [*([model.problem] if model.problem else []), *model.blockers],
        "last_used_at": model.last_used_at,
        "loaded": is_loaded,
        "state": "damaged" if model.is_damaged else "ready",
    }
