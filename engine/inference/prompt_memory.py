"""The prompts that one model has read and keeps for reuse: in memory, and from there to the disk.

Used on the inference thread alone. What belongs to a chat is handed on to be kept in a file a
little while after its answer, off the way of the next tokens.
"""

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from engine.errors import EngineError
from engine.inference.backend import LRUPromptCache, MlxModel, foreign_errors, trim_prompt_cache
from engine.inference.frozen_prompt import FrozenPrompt, freeze_prompt, thaw_prompt
from engine.inference.prompt_files import LEAST_KEPT_TOKENS
from engine.inference.quick_trie import QuickTrie
from engine.inference.sequence_cache import is_whole_cache

logger = logging.getLogger(__name__)

_MOST_UNKEPT = 8
_LAST_KEPT = 2  # of those not kept yet, when the model leaves
_KEY = "model"
Keep = Callable[[str, FrozenPrompt], None]


def _keep_nothing(_chat_id: str, _frozen: FrozenPrompt) -> None:
    return None


class PromptMemory:
    """Prefixes by their tokens, the least recently used are dropped.

    ``files_key`` names the model in its present form; ``keep`` takes what shall go to the disk.
    """

    def __init__(self, model: MlxModel, max_sequences: int) -> None:
        self._model = model
        self._kept = LRUPromptCache(max_size=max_sequences)
        self._kept._trie = QuickTrie()
        self._unkept: dict[str, tuple[float, list[int], Any]] = {}
        self.files_key = ""
        self.keep: Keep = _keep_nothing

    @property
    def size_bytes(self) -> int:
        """Bytes of the prompts in memory."""
        return int(self._kept.nbytes)

    @property
    def has_unkept(self) -> bool:
        """Whether something is still to be kept on disk."""
        return bool(self._unkept)

    def limit(self, max_bytes: int) -> None:
        """Bound the memory, dropping the least recently used prefixes."""
        self._kept.max_bytes = max_bytes
        self._kept.trim_to(n_bytes=max_bytes)
        if not max_bytes:
            self._unkept.clear()

    def clear(self) -> None:
        """Drop all, and have the newest of what was not kept yet written."""
        for chat_id in list(self._unkept)[-_LAST_KEPT:]:
            self._keep(chat_id)
        self._unkept.clear()
        self._kept.trim_to(n_sequences=0)

    def known_tokens(self, tokens: Sequence[int]) -> int:
        """How many of the first tokens are in memory."""
        found = self._kept._trie.search(_KEY, list(tokens))
        shorter = len(found.exact or found.shorter or ())
        return max(shorter, found.common_prefix if self._model.is_trimmable else 0)

    def nearest(self, tokens: list[int]) -> tuple[Any, list[int]]:
        """A cache for the longest known prefix, and the tokens still to be read, at least one."""
        cache, rest = self._kept.fetch_nearest_cache(_KEY, tokens)
        if cache is not None and not rest:
            if not self._model.is_trimmable:
                return None, tokens
            trim_prompt_cache(cache, 1)
            rest = tokens[-1:]
        if cache is not None and not is_whole_cache(cache, len(tokens) - len(rest)):
            return None, tokens
        return cache, rest

    def remember(self, tokens: Sequence[int], cache: Any, chat_id: str = "") -> None:
        """Keep what was read; for a chat with an id also on disk, soon."""
        if not cache or not tokens:
            return
        self._kept.insert_cache(_KEY, list(tokens), cache)
        if chat_id and self.files_key and len(tokens) >= LEAST_KEPT_TOKENS:
            self._unkept.pop(chat_id, None)
            self._unkept[chat_id] = (time.monotonic(), list(tokens), cache)
            if len(self._unkept) > _MOST_UNKEPT:
                del self._unkept[next(iter(self._unkept))]

    def keep_one(self, after_s: float) -> None:
        """Hand on the prompt that has waited longest, if that was long enough."""
        for chat_id, (at, _, _) in self._unkept.items():
            if time.monotonic() - at >= after_s:
                self._keep(chat_id)
            return

    def recall(self, path: Path) -> bool:
        """Take a file's prompt back into memory; False where it is of no use."""
        try:
            with foreign_errors(EngineError):
                if path.stat().st_size > self._kept.max_bytes:
                    return True
                tokens, cache = thaw_prompt(path, self._model.new_cache())
        except EngineError as error:
            logger.warning("a kept prompt could not be read: %s", error.message)
            return False
        self._kept.insert_cache(_KEY, tokens, cache)
        return True

    def take_over(self, other: "PromptMemory") -> None:
        """Keep on disk what ``other``, of the same model, did."""
        self.files_key, self.keep = other.files_key, other.keep

    def _keep(self, chat_id: str) -> None:
        _, tokens, cache = self._unkept.pop(chat_id)
        try:
            with foreign_errors(EngineError):
                self.keep(chat_id, freeze_prompt(tokens, cache))
        except EngineError as error:
            logger.warning("a prompt could not be kept: %s", error.message)
