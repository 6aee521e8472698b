"""DraftLane: a smaller model guesses the next words, and the model checks several in one pass.

What is said is what the model itself says (speculative decoding, arXiv 2211.17192, in mlx-lm's
form). Whether it is faster depends on both models and on the text, so it is measured: at first an
answer is written in short runs, with the draft and without in turns, then the faster way, with a
run the other way from time to time. A draft that loses is given up.
"""

import time
from collections.abc import Sequence
from typing import Any

from engine.inference.backend import mx, speculative_generate_step, trim_prompt_cache
from engine.inference.solo_lane import SoloLane

RUN_TOKENS = 32
DRAFT_TOKENS = 3
_FIRST_RUNS = 4  # with the draft and without, in turns
_LOOK_AGAIN_RUNS = 16
_WEIGHT = 0.3  # of the newest run


class DraftLane(SoloLane):
    """One request at a time, by two models."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._token_s: dict[bool, float] = {}
        self._runs = 0
        self._is_drafting = True
        self._run_tokens = 0
        self._run_s = 0.0

    @property
    def gain(self) -> float:
        """How many times as fast the draft makes it; 0 as long as that is not known."""
        if len(self._token_s) < 2:
            return 0.0
        return self._token_s[False] / self._token_s[True]

    def _parts(self) -> tuple[tuple[Any, list[Any]], tuple[Any, list[Any]]]:
        """Both models with their layers of the cache."""
        draft = self.model.draft
        assert draft is not None
        count = len(self._prompt_cache) - len(draft.new_cache())
        return (
            (self.model.model, self._prompt_cache[:count]),
            (draft.model, self._prompt_cache[count:]),
        )

    def _read(self, tokens: list[int]) -> None:
        for model, cache in self._parts():
            model(mx.array(tokens)[None], cache=cache)
            mx.eval([layer.state for layer in cache])

    def _write_from(self, tokens: list[int]) -> None:
        """Begin a run. Each model reads what the other one was ahead."""
        for model, cache in self._parts():
            held = _cut_back(cache, len(tokens) - 1)
            if missing := tokens[held:-1]:
                model(mx.array(missing)[None], cache=cache)
                mx.eval([layer.state for layer in cache])
        self._is_drafting = self._choose()
        self._run_tokens, self._run_s = 0, 0.0
        options = self._options_after(tokens[:-1])
        (model, cache), (draft, _) = self._parts()
        if not self._is_drafting:
            super()._write_from(tokens)
            return
        self._tokens = speculative_generate_step(
            mx.array(tokens[-1:]), model, draft, num_draft_tokens=DRAFT_TOKENS, **options
        )

    def _options_after(self, read: list[int]) -> dict[str, Any]:
        options = super()._options_after(read)
        if not self._is_drafting:
            options["prompt_cache"] = self._parts()[0][1]
        return options

    def _choose(self) -> bool:
        """Whether the next run is drafted."""
        if self._runs < _FIRST_RUNS or len(self._token_s) < 2:
            return self._runs % 2 == 0
        is_faster = self.gain >= 1
        return not is_faster if self._runs % _LOOK_AGAIN_RUNS == 0 else is_faster

    def _decode_one(self) -> None:
        started_at = time.perf_counter()
        turn = self._turn
        super()._decode_one()
        self._run_s += time.perf_counter() - started_at
        self._run_tokens += 1
        if self._run_tokens < RUN_TOKENS:
            return
        self._note_run()
        if turn is not None and self._turn is turn:
            turn.draft_gain = self.gain
            self._tokens.close()
            self._write_from(turn.prompt + turn.output)

    def _note_run(self) -> None:
        token_s = self._run_s / self._run_tokens
        old = self._token_s.get(self._is_drafting, token_s)
        self._token_s[self._is_drafting] = old + _WEIGHT * (token_s - old)
        self._runs += 1
        self.has_lost = self._runs >= _FIRST_RUNS and self.gain < 1

    def _keep_and_end(self) -> None:
        """Keep what both models have read."""
        if self._turn and self._prompt_cache:
            if self._tokens is not None:
                self._tokens.close()  # which takes guesses that were wrong out of the cache
            tokens = self._turn.prompt + self._turn.output
            held = min(len(tokens), *(_held_tokens(cache) for _, cache in self._parts()))
            for _, cache in self._parts():
                _cut_back(cache, held)
            self.memory.remember(tokens[:held], self._prompt_cache, self._turn.chat_id)
        self._end()


def _held_tokens(cache: Sequence[Any]) -> int:
    return int(cache[0].offset)


def _cut_back(cache: Sequence[Any], most_tokens: int) -> int:
    """Take what is beyond ``most_tokens`` out of a cache; how many tokens it holds then."""
    held = _held_tokens(cache)
    if held > most_tokens:
        trim_prompt_cache(list(cache), held - most_tokens)
    return min(held, most_tokens)
