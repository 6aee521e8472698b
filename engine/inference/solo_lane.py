"""SoloLane serves models whose cache cannot be merged, one request after another."""

from collections.abc import Iterable
from typing import Any

from engine.errors import EngineError
from engine.inference.backend import generate_step, mx
from engine.inference.lane import Lane
from engine.inference.sampling import processors_for, sampler_for
from engine.inference.turn import Turn


class SoloLane(Lane):
    """One request at a time, for caches that cannot be merged into a batch."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._turn: Turn | None = None
        self._prompt_cache: Any = None
        self._given: list[int] = []
        self._rest: list[int] = []
        self._tokens: Any = None

    @property
    def held_bytes(self) -> int:
        """What the cache of whom is served takes now."""
        return sum(layer.nbytes for layer in self._prompt_cache or () if not layer.empty())

    def _stop_serving(self) -> None:
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
        if not self._waiting or (turn := self._let_in()) is None:
            return
        self._turn, self._given = turn, turn.prompt + turn.output
        cache, self._rest = self.memory.nearest(self._given)
        self._prompt_cache = cache or self.model.new_cache()
        turn.begin_prefill(len(self._given) - len(self._rest))

    def _read_some(self) -> None:
        assert self._turn is not None
        if len(self._rest) > 1:
            count = min(self._step_tokens([self._turn]), len(self._rest) - 1)
            self._read(self._rest[:count])
            self._rest = self._rest[count:]
            self._turn.on_prefill(len(self._given) - len(self._rest))
            return
        self._write_from(self._given)

    def _read(self, tokens: list[int]) -> None:
        """Put tokens into the cache."""
        self.model.model(mx.array(tokens)[None], cache=self._prompt_cache)
        mx.eval([layer.state for layer in self._prompt_cache])

    def _write_from(self, tokens: list[int]) -> None:
        """Go on after ``tokens``, of which the last one alone is not in the cache."""
        self._tokens = generate_step(
            mx.array(tokens[-1:]), self.model.model, **self._options_after(tokens[:-1])
        )

    def _options_after(self, read: list[int]) -> dict[str, Any]:
        """How to choose what follows: arguments of ``generate_step``."""
        turn = self._turn
        assert turn is not None
        before = mx.array(read, dtype=mx.uint32)
        return {
            "max_tokens": turn.max_tokens - len(turn.output),
            "sampler": sampler_for(turn.params, len(self.model.tokenizer), len(turn.output)),
            "logits_processors": [_with_prompt(p, before) for p in processors_for(turn.params)],
            "prompt_cache": self._prompt_cache,
        }

    def _decode_one(self) -> None:
        assert self._turn is not None
        turn = self._turn
        drawn, logprobs, *_ = next(self._tokens)
        token = int(drawn)
        if token in self.model.tokenizer.eos_token_ids:
            turn.on_end_token(token)
            self._keep_and_end()
            return
        turn.on_token(token, logprobs)
        if turn.is_stopped:
            turn.finish("stop")
            self._keep_and_end()
        elif len(turn.output) >= turn.max_tokens:
            turn.finish_full()
            self._keep_and_end()

    def _keep_and_end(self) -> None:
        if self._turn:
            unread = 0 if self._turn.tokens_since_insert else len(self._rest)
            tokens = self._turn.prompt + self._turn.output
            read = tokens[: len(tokens) - unread]
            self.memory.remember(read, self._prompt_cache, self._turn.chat_id)
        self._end()

    def _end(self) -> None:
        if self._tokens is not None:
            self._tokens.close()
        self._turn = self._prompt_cache = self._tokens = None
        self._given, self._rest = [], []

    def _recover(self, error: EngineError) -> None:
        if self._turn:
            self._turn.fail(error)
        self._end()


def _with_prompt(processor: Any, before: Any) -> Any:
    """Show a penalty the whole prompt: generate_step starts with its last token alone."""

    def process(tokens: Any, logits: Any) -> Any:
        return processor(mx.concatenate([before, tokens.astype(mx.uint32)]), logits)

    return process
