"""What every lane has: the line of those who wait, and the prompts kept for reuse.

A lane serves the requests of one loaded model, a step at a time, on the inference thread. It reads
prompts in bounded steps, reuses the nearest prefix that it has read before, lets nobody in for whom
there is no memory, and outlives the failure of any one request.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence

from engine.errors import EngineError, GenerationError
from engine.inference.backend import (
    MlxModel,
    foreign_errors,
)
from engine.inference.prompt_memory import PromptMemory
from engine.inference.turn import Turn
from engine.records import KVCacheSize

_FULL_STEP_CONTEXT_TOKENS = 8192
_ALLOTTED_TOKENS = 256  # caches grow by so many at a time


def step_failed(reason: str) -> EngineError:
    """The error for a request whose model failed while it was answering."""
    return GenerationError(
        f"The model stopped with an error: {reason}" if reason else "The model stopped.",
        "Send the message again; if that fails too, shorten it or choose another model.",
    )


class Lane:
    """What both kinds share: the waiting line and the prompt cache."""

    def __init__(
        self, model: MlxModel, prefill_step_tokens: int, active_limit: int, cache_sequences: int
    ) -> None:
        self.model = model
        self._prefill_step_tokens = prefill_step_tokens
        self._active_limit = active_limit
        self._waiting: deque[Turn] = deque()
        self.memory = PromptMemory(model, cache_sequences)
        self.kv_cache: KVCacheSize | None = None
        self.has_fused_attention = True
        self.has_lost = False  # a draft that makes it slower: the model is better off without
        self.admit: Callable[[Turn], bool] = lambda _: True

    @property
    def turns(self) -> list[Turn]:
        """Everyone who is served here or waits to be."""
        return [*self._active_turns(), *self._waiting]

    @property
    def is_serving(self) -> bool:
        """Whether somebody has been let in."""
        return any(True for _ in self._active_turns())

    def submit(self, turn: Turn) -> None:
        """Take a request. Raises TemplateFailed and ContextOverflow."""
        turn.prepare(self.model)
        self._waiting.append(turn)

    def suspend(self) -> list[Turn]:
        """Give all requests back, as far as they have come; they can be submitted again."""
        turns = sorted(self.turns, key=lambda turn: turn.arrival)
        self._waiting.clear()
        self._stop_serving()
        return turns

    def promised_bytes(self, another: Turn | None = None) -> int:
        """What the caches of all who are served may come to take, and ``another``'s with them.

        A batch has rows of one length, that of its longest sequence.
        """
        turns = [*self._active_turns(), *([another] if another else [])]
        if not turns or self.kv_cache is None:
            return 0
        longest = max(turn.most_tokens for turn in turns)
        allotted = -(-longest // _ALLOTTED_TOKENS) * _ALLOTTED_TOKENS
        return len(turns) * self.kv_cache.bytes_at(allotted)

    @property
    def held_bytes(self) -> int:
        """What the caches of all who are served take now."""
        raise NotImplementedError

    def step(self) -> None:
        """Do a bounded piece of work for everybody in this lane."""
        self._drop_cancelled()
        try:
            with foreign_errors(step_failed):
                self._advance()
        except EngineError as error:
            self._recover(error)
        for position, turn in enumerate(self._waiting, start=1):
            turn.wait_at(position)

    def close(self, error: EngineError) -> None:
        """End every request with ``error`` and drop all caches."""
        for turn in self.suspend():
            turn.fail(error)
        self.memory.clear()

    def _let_in(self) -> Turn | None:
        """The next one in line, if there is memory for its answer."""
        turn = self._waiting[0]
        try:
            if not self.admit(turn):
                return None
        except EngineError as error:
            turn.fail(error)
            self._waiting.popleft()
            return None
        return self._waiting.popleft()

    def _stop_serving(self) -> None:
        raise NotImplementedError

    def _step_tokens(self, reading: Sequence[Turn]) -> int:
        """How much to read at once.

        Attention that is not fused writes out a step's scores, so long prompts are read in shorter
        steps.
        """
        step_tokens = self._prefill_step_tokens
        longest = max((turn.read_tokens for turn in reading), default=0)
        if not self.has_fused_attention and longest > _FULL_STEP_CONTEXT_TOKENS:
            step_tokens = step_tokens * _FULL_STEP_CONTEXT_TOKENS // longest
        return max(1, step_tokens)

    def _active_turns(self) -> Iterable[Turn]:
        raise NotImplementedError

    def _advance(self) -> None:
        raise NotImplementedError

    def _recover(self, error: EngineError) -> None:
        raise NotImplementedError

    def _drop_cancelled(self) -> None:
        for turn in [turn for turn in self._waiting if turn.is_cancelled]:
            self._waiting.remove(turn)
            turn.finish("cancelled")
