"""Drawing a token with the settings that many models come with: the app's way, and mlx-lm's.

Imports mlx: import it on the thread that owns it.
"""

import time
from collections.abc import Callable
from typing import Any

import mlx.core as mx
from mlx_lm.sample_utils import make_sampler

from engine.inference.sampling import sampler_for
from engine.records import SamplingParams

VOCABULARY = 151_936
SPREAD = 3.0  # of the logits; thousands of tokens are then within reach of the likeliest
PARAMS = SamplingParams(temperature=0.6, top_p=0.95, top_k=20)


def drawing_s(rounds: int) -> tuple[tuple[float, float], ...]:
    """Seconds for a token, ours and mlx-lm's, alternated."""
    logits = SPREAD * mx.random.normal((1, VOCABULARY))
    logprobs = logits - mx.logsumexp(logits, axis=-1, keepdims=True)
    mx.eval(logprobs)
    ours = sampler_for(PARAMS, VOCABULARY)
    theirs = make_sampler(PARAMS.temperature, top_p=PARAMS.top_p, top_k=PARAMS.top_k)
    for sampler in (ours, theirs):
        _draw_s(sampler, logprobs)
    return tuple((_draw_s(ours, logprobs), _draw_s(theirs, logprobs)) for _ in range(rounds))


def _draw_s(sampler: Callable[[Any], Any], logprobs: Any) -> float:
    started_at = time.perf_counter()
    mx.eval(sampler(logprobs))
    return time.perf_counter() - started_at
