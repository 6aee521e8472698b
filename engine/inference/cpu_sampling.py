"""Drawing the next token on a CPU, by numpy: few tokens are ever sorted. Pure.

MLX sorts the whole vocabulary, and slowly: with the settings that many models come with
(temperature 0.6, top-p 0.95, top-k 20) a token of 150,000 takes it 25 ms. Here only those within
reach of the likeliest are sorted. Which may be drawn is as in mlx_lm.sample_utils, in its order:
top-p, min-p, top-k, all on the model's own probabilities, and the temperature last.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

_REACH = 12.0  # nats below the likeliest token; what is less likely is looked at only if need be


@dataclass(frozen=True)
class Filters:
    """Which tokens may be drawn. 1, 0 and 0 let all pass."""

    top_p: float = 1.0
    min_p: float = 0.0
    top_k: int = 0

    @property
    def let_all_pass(self) -> bool:
        """Whether nothing is left out."""
        return self.top_p >= 1 and self.min_p <= 0 and self.top_k <= 0


def draw(logprobs: Any, temperature: float, filters: Filters, random: np.random.Generator) -> int:
    """A token by its log-probabilities (vocabulary,), which add up to one."""
    highest = float(logprobs.max())
    if not math.isfinite(highest):  # a broken model's; nothing can be drawn by that
        return int(np.argmax(logprobs))
    tokens = kept_tokens(logprobs, filters, highest)
    found = logprobs if tokens is None else logprobs[tokens]
    sums = np.cumsum(np.exp((found - highest) / temperature), dtype=np.float64)
    at = int(np.searchsorted(sums, random.random() * sums[-1], side="right"))
    at = min(at, len(found) - 1)
    return at if tokens is None else int(tokens[at])


def kept_tokens(logprobs: Any, filters: Filters, highest: float) -> Any:
    """Tokens that may be drawn; None for all. ``highest`` is of ``logprobs``."""
    if filters.let_all_pass:
        return None
    near = np.flatnonzero(logprobs >= highest - _REACH)
    found = logprobs[near]
    least = _least(found, filters, highest, len(near) == len(logprobs))
    if least is None:
        near, found = np.arange(len(logprobs)), logprobs
        least = _least(found, filters, highest, True)
    tokens = near[found >= least]
    if 0 < filters.top_k < len(tokens):  # several are as likely as the last
        tokens = tokens[np.argsort(-logprobs[tokens], kind="stable")[: filters.top_k]]
    return tokens


def _least(found: Any, filters: Filters, highest: float, is_all: bool) -> float | None:
    """The least log-probability that passes; None where others than those found might pass too."""
    least = highest + math.log(filters.min_p) if filters.min_p > 0 else -math.inf
    if not is_all and filters.top_k > len(found):
        return None
    if 0 < filters.top_k < len(found):
        found = np.partition(found, -filters.top_k)[-filters.top_k :]
    likely = np.sort(found)[::-1]
    masses = np.cumsum(np.exp(likely), dtype=np.float64)
    is_cut = filters.top_k or masses[-1] >= filters.top_p or least >= highest - _REACH
    if not (is_all or is_cut):
        return None
    above = np.concatenate(([0.0], masses[:-1]))
    count = len(likely) if filters.top_p >= 1 else max(1, int((above < filters.top_p).sum()))
    return max(least, float(likely[count - 1]))
