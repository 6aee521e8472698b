"""A lane serves the requests of one loaded model, a step at a time, on the inference thread.

BatchLane puts everybody into one continuous batch. SoloLane serves models whose cache cannot be
merged, one after another, in the order they came. Both read prompts in bounded steps, reuse the
nearest prefix that they have read before, and outlive the failure of any one request.
"""

from collections import deque
from collections.abc import Iterable
from typing import Any

from engine.errors import EngineError, GenerationError, TemplateFailed
from engine.inference.backend import (
    BatchGenerator,
    LRUPromptCache,
    MlxModel,
    foreign_errors,
    generate_step,
    is_whole_cache,
    make_prompt_cache,
    mx,
    trim_prompt_cache,
)
from engine.inference.sampling import processors_for, sampler_for
from engine.inference.turn import Turn

PROOF_TOKENS = 4
_KEY = "model"


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
        self._cache = LRUPromptCache(max_size=cache_sequences)

    @property
    def turns(self) -> list[Turn]:
        """Everyone who is served here or waits to be."""
        return [*self._active_turns(), *self._waiting]

    def submit(self, turn: Turn) -> None:
        """Take a request. Raises TemplateFailed and ContextOverflow."""
        turn.prepare(self.model)
        self._waiting.append(turn)

    def limit_cache(self, max_bytes: int) -> None:
        """Bound the prompt cache, dropping the least recently used prefixes."""
        self._cache.max_bytes = max_bytes
        self._cache.trim_to(n_bytes=max_bytes)

    @property
    def kept_bytes(self) -> int:
        """Bytes of the prompts that are kept for reuse."""
        return int(self._cache.nbytes)

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
        for turn in self.turns:
            turn.fail(error)
        self._waiting.clear()
        self._cache.trim_to(n_sequences=0)

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

    def _nearest_cache(self, tokens: list[int]) -> tuple[Any, list[int]]:
        """A cache for the longest known prefix, and the tokens still to be read, at least one."""
        cache, rest = self._cache.fetch_nearest_cache(_KEY, tokens)
        if cache is not None and not rest:
            if not self.model.is_trimmable:
                return None, tokens
            trim_prompt_cache(cache, 1)
            rest = tokens[-1:]
        if cache is not None and not is_whole_cache(cache, len(tokens) - len(rest)):
            return None, tokens
        return cache, rest

    def _remember(self, tokens: list[int], cache: Any) -> None:
        if cache and tokens:
            self._cache.insert_cache(_KEY, list(tokens), cache)


class BatchLane(Lane):
    """Continuous batching: everybody's next token in one pass."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._active: dict[int, Turn] = {}
        self._suspects: deque[Turn] = deque()
        self._generator = self._new_generator()

    def _new_generator(self) -> Any:
        return BatchGenerator(
            self.model.model,
            completion_batch_size=self._active_limit,
            prefill_batch_size=min(8, self._active_limit),
            prefill_step_size=self._prefill_step_tokens,
        )

    def close(self, error: EngineError) -> None:
        """End every request with ``error``, and free the batch."""
        super().close(error)
        self._active.clear()
        self._suspects.clear()
        self._generator.close()

    def _active_turns(self) -> Iterable[Turn]:
        return [*self._active.values(), *self._suspects]

    def _drop_cancelled(self) -> None:
        super()._drop_cancelled()
        for turn in [turn for turn in self._suspects if turn.is_cancelled]:
            self._suspects.remove(turn)
            turn.finish("cancelled")
        gone = [uid for uid, turn in self._active.items() if turn.is_cancelled]
        if not gone:
            return
        caches = self._generator.remove(gone, return_prompt_caches=True)
        for uid in gone:
            self._active.pop(uid).finish("cancelled")
            cache, tokens = caches.get(uid, (None, []))
            self._remember(tokens, cache)

    def _advance(self) -> None:
        self._admit()
        if not self._active:
            return
        prompt_responses, responses = self._generator.next()
        for response in prompt_responses:
            self._on_prefill(response)
        for response in responses:
            self._on_token(response)

    def _admit(self) -> None:
        """Let the next ones in; after a failure one suspect at a time, each proven by tokens."""
        if self._suspects:
            if all(t.tokens_since_insert >= PROOF_TOKENS for t in self._active.values()):
                self._insert(self._suspects.popleft())
            return
        while self._waiting and len(self._active) < self._active_limit:
            self._insert(self._waiting.popleft())

    def _insert(self, turn: Turn) -> None:
        tokens = turn.prompt + turn.output
        try:
            with foreign_errors(step_failed):
                cache, rest = self._nearest_cache(tokens)
                reused = len(tokens) - len(rest)
                (uid,) = self._generator.insert_segments(
                    segments=[self._segments(turn, rest, reused)],
                    max_tokens=[turn.max_tokens - len(turn.output)],
                    caches=[cache],
                    all_tokens=[tokens[:reused]],
                    samplers=[
                        sampler_for(turn.params, len(self.model.tokenizer), len(turn.output))
                    ],
                    logits_processors=[processors_for(turn.params)],
                    stop_sequences=[self.model.stop_sequences],
                )
        except EngineError as error:
            turn.fail(error)
            return
        self._active[uid] = turn
        turn.begin_prefill(reused)

    def _segments(self, turn: Turn, rest: list[int], reused: int) -> list[list[int]]:
        """Split where a cache that cannot be trimmed later has to be kept now."""
        if self.model.is_trimmable or turn.output:
            return [rest]
        try:
            stable = self.model.stable_prefix_tokens(turn.messages, turn.prompt) - reused
        except TemplateFailed:  # it renders this conversation, but not a longer one of ours
            return [rest]
        return [rest[:stable], rest[stable:]] if 0 < stable < len(rest) else [rest]

    def _on_prefill(self, response: Any) -> None:
        turn = self._active.get(response.uid)
        if turn is None:
            return
        done_tokens, total_tokens = response.progress
        turn.on_prefill(len(turn.prompt) - total_tokens + done_tokens)
        if response.end_of_segment and not response.end_of_prompt and not self.model.is_trimmable:
            cache, tokens = self._generator.extract_cache([response.uid])[response.uid]
            self._remember(tokens, cache)

    def _on_token(self, response: Any) -> None:
        turn = self._active[response.uid]
        if response.finish_reason == "stop":
            turn.on_end_token(response.token)
        else:
            turn.on_token(response.token)
            if response.finish_reason == "length":
                turn.finish_full()
        if response.finish_reason is not None:
            del self._active[response.uid]
            self._remember(response.all_tokens, response.prompt_cache)

    def _recover(self, error: EngineError) -> None:
        """Start a new batch. The one to blame fails alone; the others are tried one by one."""
        turns = list(self._active.values())
        self._active.clear()
        self._generator.close()
        self._generator = self._new_generator()
        unproven = [turn for turn in turns if turn.tokens_since_insert < PROOF_TOKENS]
        blamed = turns if len(turns) == 1 else unproven if len(unproven) == 1 else []
        for turn in turns:
            if turn in blamed:
                turn.fail(error)
            else:
                self._suspects.append(turn)


class SoloLane(Lane):
    """One request at a time, for caches that cannot be merged into a batch."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._turn: Turn | None = None
        self._prompt_cache: Any = None
        self._rest: list[int] = []
        self._tokens: Any = None

    def close(self, error: EngineError) -> None:
        """End every request with ``error``."""
        super().close(error)
        self._end()

    def _active_turns(self) -> Iterable[Turn]:
        return [self._turn] if self._turn else []

    def _drop_cancelled(self) -> None:
        super()._drop_cancelled()
        if self._turn and self._turn.is_cancelled:
            turn = self._turn
            self._keep_and_end()
            turn.finish("cancelled")

    def _advance(self) -> None:
        if self._turn is None:
            self._begin()
        elif self._tokens is None:
            self._read_some()
        else:
            self._decode_one()

    def _begin(self) -> None:
        if not self._waiting:
            return
        turn = self._turn = self._waiting.popleft()
        cache, self._rest = self._nearest_cache(turn.prompt)
        self._prompt_cache = cache or make_prompt_cache(self.model.model)
        turn.begin_prefill(len(turn.prompt) - len(self._rest))

    def _read_some(self) -> None:
        assert self._turn is not None
        if len(self._rest) > 1:
            count = min(self._prefill_step_tokens, len(self._rest) - 1)
            self.model.model(mx.array(self._rest[:count])[None], cache=self._prompt_cache)
            mx.eval([layer.state for layer in self._prompt_cache])
            self._rest = self._rest[count:]
            self._turn.on_prefill(len(self._turn.prompt) - len(self._rest))
            return
        before = mx.array(self._turn.prompt[:-1], dtype=mx.uint32)
        self._tokens = generate_step(
            mx.array(self._rest),
            self.model.model,
            max_tokens=self._turn.max_tokens,
            sampler=sampler_for(self._turn.params, len(self.model.tokenizer)),
            logits_processors=[_with_prompt(p, before) for p in processors_for(self._turn.params)],
            prompt_cache=self._prompt_cache,
        )

    def _decode_one(self) -> None:
        assert self._turn is not None
        turn = self._turn
        token = int(next(self._tokens)[0])
        if token in self.model.tokenizer.eos_token_ids:
            turn.on_end_token(token)
            self._keep_and_end()
            return
        turn.on_token(token)
        if len(turn.output) >= turn.max_tokens:
            turn.finish_full()
            self._keep_and_end()

    def _keep_and_end(self) -> None:
        if self._turn:
            unread = 0 if self._turn.output else len(self._rest)
            tokens = self._turn.prompt + self._turn.output
            self._remember(tokens[: len(tokens) - unread], self._prompt_cache)
        self._end()

    def _end(self) -> None:
        if self._tokens is not None:
            self._tokens.close()
        self._turn = self._prompt_cache = self._tokens = None
        self._rest = []

    def _recover(self, error: EngineError) -> None:
        if self._turn:
            self._turn.fail(error)
        self._end()


def _with_prompt(processor: Any, before: Any) -> Any:
    """Show a penalty the whole prompt: generate_step starts with its last token alone."""

    def process(tokens: Any, logits: Any) -> Any:
        return processor(mx.concatenate([before, tokens.astype(mx.uint32)]), logits)

    return process
