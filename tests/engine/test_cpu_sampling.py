"""Numpy draws on a CPU from what mlx-lm would, as often, and again with the same seed."""

import importlib
from typing import Any

import numpy as np
import pytest

from engine import Engine
from engine.inference.cpu_sampling import Filters, draw, kept_tokens
from engine.records import SamplingParams
from tests.engine.inference_thread import on_thread

VOCABULARY = 2_000
FILTERS = [
    Filters(), Filters(top_p=0.95), Filters(top_p=0.3), Filters(min_p=0.05), Filters(min_p=1e-7),
    Filters(top_k=20), Filters(top_k=1), Filters(top_k=1_999), Filters(0.95, 0.02, 20),
    Filters(0.999999, 0.0, 1_500), Filters(0.9, 0.3),
]  # fmt: skip


def _logprobs(spread: float, seed: int = 1) -> Any:
    values = (np.random.default_rng(seed).normal(size=VOCABULARY) * spread).astype(np.float32)
    return values - np.log(np.exp(values).sum())


def _kept_by_mlx_lm(logprobs: Any, filters: Filters) -> set[int]:
    mx = importlib.import_module("mlx.core")
    utils = importlib.import_module("mlx_lm.sample_utils")
    row = mx.array(logprobs)[None]
    if filters.top_p < 1:
        row = utils.apply_top_p(row, filters.top_p)
    if filters.min_p:
        row = utils.apply_min_p(row, filters.min_p)
    if filters.top_k:
        row = utils.apply_top_k(row, filters.top_k)
    return set(np.flatnonzero(np.isfinite(np.array(row[0]))).tolist())


@pytest.mark.parametrize("spread", [0.1, 1.0, 3.0, 12.0])
@pytest.mark.parametrize("filters", FILTERS, ids=str)
def test_the_same_tokens_may_be_drawn(engine: Engine, filters: Filters, spread: float) -> None:
    logprobs = _logprobs(spread)
    kept = kept_tokens(logprobs, filters, float(logprobs.max()))
    ours = set(range(VOCABULARY)) if kept is None else set(kept.tolist())
    theirs = on_thread(engine, lambda: _kept_by_mlx_lm(logprobs, filters))
    assert ours and len(ours ^ theirs) <= 1  # their sums round otherwise at the edge


@pytest.mark.parametrize("filters", [Filters(), Filters(top_p=0.8), Filters(top_k=3)], ids=str)
def test_tokens_come_as_often_as_they_should(filters: Filters) -> None:
    logprobs = np.log(np.array([0.5, 0.05, 0.25, 0.15, 0.05], np.float32))
    kept = kept_tokens(logprobs, filters, float(logprobs.max()))
    tokens = np.arange(5) if kept is None else kept
    weights = np.zeros(5)
    weights[tokens] = np.exp(logprobs[tokens] / 0.7)
    random = np.random.default_rng(11)
    drawn = np.bincount([draw(logprobs, 0.7, filters, random) for _ in range(20_000)], minlength=5)
    assert abs(drawn / 20_000 - weights / weights.sum()).max() < 0.015


def test_a_broken_models_numbers_end_nothing() -> None:
    for value in (np.nan, -np.inf):
        broken = np.full(8, value, np.float32)
        assert 0 <= draw(broken, 1.0, Filters(0.9, 0.1, 3), np.random.default_rng(1)) < 8


def test_a_seed_draws_the_same_alone_and_in_any_row(engine: Engine) -> None:
    def tokens() -> tuple[list[int], list[int]]:
        mx = importlib.import_module("mlx.core")
        sampling = importlib.import_module("engine.inference.sampling")
        rows = mx.array(np.stack([_logprobs(1.0, seed) for seed in range(12)]))
        params = SamplingParams(temperature=1.0, top_p=0.9, seed=4)
        whole = sampling.sampler_for(params, VOCABULARY)
        first = [int(whole(rows[at : at + 1]).item()) for at in range(12)]
        again = sampling.sampler_for(params, VOCABULARY, drawn_tokens=6)
        return first, [int(again(rows[at : at + 1]).item()) for at in range(6, 12)]

    first, rest = on_thread(engine, tokens)
    assert rest == first[6:] and len(set(first)) > 3
