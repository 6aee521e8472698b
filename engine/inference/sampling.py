"""Choosing the next token: samplers and penalties for one request. On the inference thread alone.

The filters are mlx-lm's (mlx_lm.sample_utils), in its order: top-p, min-p, top-k on the model's own
probabilities, the temperature last. On a CPU numpy draws.
"""

import functools
from collections.abc import Callable
from typing import Any

import mlx.core as mx
import numpy as np
from mlx_lm.sample_utils import (
    apply_min_p,
    apply_top_k,
    apply_top_p,
    greedy_sampler,
    make_logits_processors,
    make_sampler,
)

from engine.inference.cpu_sampling import Filters, draw
from engine.inference.device import is_on_cpu
from engine.records import SamplingParams

Sampler = Callable[[Any], Any]
PENALTY_CONTEXT_TOKENS = 64


def sampler_for(params: SamplingParams, vocabulary_tokens: int, drawn_tokens: int = 0) -> Sampler:
    """A sampler from log-probabilities (batch, vocabulary) to tokens (batch).

    Requests with the same settings share one sampler object, which a batch then calls once. With
    a seed the request draws from keys of its own, one for each token, so its answer depends neither
    on who else is in the batch nor on having been started again after ``drawn_tokens``.
    """
    if params.temperature == 0:
        return greedy_sampler  # type: ignore[no-any-return]  # mlx-lm has no types
    top_k = params.top_k if 0 < params.top_k < vocabulary_tokens else 0
    if is_on_cpu():
        filters = Filters(params.top_p, params.min_p, top_k)
        if params.seed is None:
            return _shared_cpu_sampler(params.temperature, filters)
        return _CpuSampler(params.temperature, filters, params.seed, drawn_tokens)
    if params.seed is None:
        return _shared_sampler(params.temperature, params.top_p, params.min_p, top_k)
    return _SeededSampler(params, top_k, drawn_tokens)


@functools.lru_cache(maxsize=256)
def _shared_sampler(temperature: float, top_p: float, min_p: float, top_k: int) -> Sampler:
    return make_sampler(  # type: ignore[no-any-return]  # mlx-lm has no types
        temperature, top_p=top_p, min_p=min_p, top_k=top_k
    )


@functools.lru_cache(maxsize=256)
def _shared_cpu_sampler(temperature: float, filters: Filters) -> Sampler:
    return _CpuSampler(temperature, filters)


class _CpuSampler:
    def __init__(
        self, temperature: float, filters: Filters, seed: int | None = None, drawn_tokens: int = 0
    ) -> None:
        self._temperature = temperature
        self._filters = filters
        self._seed = seed
        self._drawn_tokens = drawn_tokens
        self._random = np.random.default_rng()

    def __call__(self, logprobs: Any) -> Any:
        rows = np.array(logprobs.astype(mx.float32), copy=False).reshape(-1, logprobs.shape[-1])
        if self._seed is not None:
            key = (self._seed << 32 | self._drawn_tokens) & (1 << 128) - 1
            self._random = np.random.Generator(np.random.Philox(key=key))
            self._drawn_tokens += 1
        tokens = [draw(row, self._temperature, self._filters, self._random) for row in rows]
        return mx.array(tokens, mx.uint32).reshape(logprobs.shape[:-1])


class _SeededSampler:
    def __init__(self, params: SamplingParams, top_k: int, drawn_tokens: int) -> None:
        self._params = params
        self._top_k = top_k
        self._drawn_tokens = drawn_tokens

    def __call__(self, logprobs: Any) -> Any:
        if self._params.top_p < 1:
            logprobs = apply_top_p(logprobs, self._params.top_p)
        if self._params.min_p > 0:
            logprobs = apply_min_p(logprobs, self._params.min_p)
        if self._top_k:
            logprobs = apply_top_k(logprobs, self._top_k)
        key = mx.random.key((self._params.seed or 0) << 32 | self._drawn_tokens)
        self._drawn_tokens += 1
        return mx.random.categorical(logprobs / self._params.temperature, key=key)


def processors_for(params: SamplingParams) -> list[Callable[[Any, Any], Any]]:
    """Functions (tokens so far, logits) -> logits; none when no penalty is set."""
    if params.repetition_penalty == 1:
        return []
    return list(
        make_logits_processors(
            repetition_penalty=params.repetition_penalty,
            repetition_context_size=PENALTY_CONTEXT_TOKENS,
        )
    )
