"""Attention and log-probabilities with numpy's exponentials are what MLX's own are."""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from engine import Engine
from tests.engine.inference_thread import on_thread
from tests.engine.tiny_configs import CPU_SIZES

KINDS: dict[str, dict[str, Any]] = {
    "llama": {}, "qwen3": {}, "qwen2": {"tie_word_embeddings": False},
    "mixtral": {"num_local_experts": 4, "num_experts_per_tok": 2, "tie_word_embeddings": False},
    "gemma3_text": {"query_pre_attn_scalar": 32, "sliding_window": 64, "sliding_window_pattern": 2},
}  # fmt: skip
PROMPT_TOKENS = 400


@contextmanager
def _attention(is_fast: bool) -> Iterator[Any]:
    """MLX with the one or the other below every model."""
    mx = importlib.import_module("mlx.core")
    before = mx.fast.scaled_dot_product_attention
    plain = getattr(before, "__wrapped__", before)
    ours = importlib.import_module("engine.inference.cpu_exponentials").with_fast_softmax(plain)
    mx.fast.scaled_dot_product_attention = ours if is_fast else plain
    try:
        yield mx
    finally:
        mx.fast.scaled_dot_product_attention = before


def _attend(is_fast: bool, mask: str, value_width: int) -> Any:
    """Two sequences, the second one with 40 columns of padding, 6 heads over 2."""
    with _attention(is_fast) as mx:
        mx.random.seed(3)
        q = mx.random.normal((2, 6, 96, 32))
        k, v = mx.random.normal((2, 2, 300, 32)), mx.random.normal((2, 2, 300, value_width))
        rows, columns = mx.arange(300 - 96, 300)[:, None], mx.arange(300)[None]
        seen = (columns <= rows) & (columns >= mx.array([0, 40])[:, None, None, None])
        masks = {
            "none": None, "causal": "causal", "padded": seen, "plain": columns <= rows,
            "all hidden": mx.zeros((96, 300), mx.bool_),
            "added": mx.where(seen, 0.0, -1e9).astype(mx.float32),
        }  # fmt: skip
        options = {"scale": 0.2, "mask": masks[mask]}
        return mx.fast.scaled_dot_product_attention(q, k, v, **options).tolist()


@pytest.mark.parametrize("value_width", [32, 48])
@pytest.mark.parametrize("mask", ["none", "causal", "padded", "plain", "all hidden", "added"])
def test_every_kind_of_mask_is_followed(engine: Engine, mask: str, value_width: int) -> None:
    def compare() -> float:
        np = importlib.import_module("numpy")
        ours, theirs = (np.array(_attend(is_fast, mask, value_width)) for is_fast in (True, False))
        return float(abs(ours - theirs).max())

    assert on_thread(engine, compare) < 1e-5


def _greedy(kind: str, is_fast: bool) -> list[int]:
    with _attention(is_fast) as mx:
        module = importlib.import_module(f"mlx_lm.models.{kind}")
        mx.random.seed(5)
        args = module.ModelArgs.from_dict(
            {**CPU_SIZES, "max_position_embeddings": 2048, "model_type": kind, **KINDS[kind]}
        )
        model = module.Model(args)
        prompt = mx.random.randint(0, 320, (PROMPT_TOKENS,))
        steps = importlib.import_module("mlx_lm.generate").generate_step(
            prompt, model, max_tokens=24, prefill_step_size=128
        )
        return [int(token) for token, _ in steps]


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_long_prompt_is_answered_token_by_token_as_by_mlx_lm(engine: Engine, kind: str) -> None:
    ours = on_thread(engine, lambda: _greedy(kind, is_fast=True))
    assert len(ours) == 24 and ours == on_thread(engine, lambda: _greedy(kind, is_fast=False))


@pytest.mark.parametrize("shape", [(3, 40_000), (1, 1, 70_000), (2, 5)])
@pytest.mark.parametrize("hidden", [False, True])
def test_probabilities_add_up_as_by_mlx(
    engine: Engine, shape: tuple[int, ...], hidden: bool
) -> None:
    def compare() -> tuple[float, tuple[int, ...]]:
        mx = importlib.import_module("mlx.core")
        module = importlib.import_module("engine.inference.cpu_exponentials")
        plain = getattr(mx.logsumexp, "__wrapped__", mx.logsumexp)
        mx.random.seed(2)
        values = 4 * mx.random.normal(shape)
        if hidden:  # as a grammar or a penalty may leave them out
            values = mx.where(mx.random.uniform(shape=shape) < 0.5, -mx.inf, values)
        ours = module.with_fast_sums(plain)(values, axis=-1, keepdims=True)
        return float(mx.abs(ours - plain(values, axis=-1, keepdims=True)).max()), ours.shape

    error, ours = on_thread(engine, compare)
    assert error < 1e-3 and ours == (*shape[:-1], 1)


def test_they_are_below_the_models_here_where_they_run_on_a_cpu(engine: Engine) -> None:
    def is_there() -> bool:
        mx = importlib.import_module("mlx.core")
        functions = (mx.fast.scaled_dot_product_attention, mx.logsumexp)
        return all(hasattr(function, "__wrapped__") for function in functions)

    assert on_thread(engine, is_there) == (engine.inference.device_facts().backend == "cpu")
