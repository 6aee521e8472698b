"""From memory to the disk and back: when a prompt that was read is kept, and when it is looked up.

Used on the inference thread alone; ``PromptFiles`` does its work elsewhere.
"""

from collections.abc import Callable
from importlib.metadata import version
from typing import Any

from engine.errors import EngineError
from engine.inference.prompt_files import (
    LEAST_KEPT_TOKENS,
    PromptFiles,
    files_key,
)
from engine.inference.residents import Residents

_WORTH_SHARE = 2  # of a prompt: with more of it in memory the disk is not asked


class PromptKeeping:
    """Between the models in memory and the files.

    A prompt is kept ``after_s`` after its answer; ``let_go`` is called when a model has left.
    """

    def __init__(
        self,
        files: PromptFiles,
        residents: Residents,
        after_s: float,
        let_go: Callable[[], None],
    ) -> None:
        self._files = files
        self._residents = residents
        self._after_s = after_s
        self._let_go = let_go

    def attach(self, repo_id: str, lane: Any, *facts: object) -> None:
        """Keep what this lane's model reads. ``facts`` are what its caches depend on."""
        key = files_key(*facts, version("mlx-lm"))
        lane.memory.files_key = key

        def keep(chat_id: str, frozen: Any) -> None:
            self._files.keep(
                key, chat_id, frozen.pieces, frozen.size_bytes,
                lambda: None if repo_id in self._residents else self._let_go(),
            )  # fmt: skip

        lane.memory.keep = keep

    def step(self) -> None:
        """Hand one prompt on, if it is time and the disk is not busy with another."""
        if self._files.is_busy:
            return
        for repo_id in self._residents.names():
            memory = self._residents[repo_id].lane.memory
            if memory.has_unkept:
                memory.keep_one(self._after_s)

    def nap_s(self) -> float | None:
        """How long there is nothing to keep; None for ever."""
        names = self._residents.names()
        has_some = any(self._residents[name].lane.memory.has_unkept for name in names)
        return self._after_s / 2 if has_some else None

    def wanted_key(self, turn: Any) -> str:
        """Under which key a file may spare this request reading; empty where none does."""
        if not turn.chat_id or turn.is_cancelled or turn.model_id not in self._residents:
            return ""
        lane = self._residents[turn.model_id].lane
        key = str(lane.memory.files_key)
        if not key or not self._files.has(key, turn.chat_id):
            return ""
        try:
            turn.prepare(lane.model)
        except EngineError:  # whoever takes the request meets it again, and tells
            return ""
        is_long = len(turn.prompt) >= LEAST_KEPT_TOKENS
        known = lane.memory.known_tokens(turn.prompt)
        return key if is_long and known * _WORTH_SHARE < len(turn.prompt) else ""

    def recall(self, turn: Any) -> None:
        """Take the prompt that was found for a request into its model's memory."""
        path, turn.kept_path = turn.kept_path, None
        if path is not None and not self._residents[turn.model_id].lane.memory.recall(path):
            self._files.discard(path)
