"""On a CPU, weights in float32 and unpacked layers say what mlx-lm's own float32 model says."""

import importlib
from collections.abc import Callable
from typing import Any

import pytest

from engine import Engine
from tests.engine.inference_thread import on_thread
from tests.engine.tiny_configs import CPU_SIZES

MODELS = {
    "llama": {},
    "qwen3": {},
    "gemma2": {"attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0,
               "query_pre_attn_scalar": 32},
    "qwen2": {"tie_word_embeddings": False},
    "mixtral": {"num_local_experts": 4, "num_experts_per_tok": 2, "tie_word_embeddings": False},
    "qwen3_moe": {"num_experts": 4, "num_experts_per_tok": 2, "decoder_sparse_step": 1,
                  "mlp_only_layers": [], "moe_intermediate_size": 64, "norm_topk_prob": True},
}  # fmt: skip
PROMPT = [3, 141, 59, 26, 53, 58, 97, 93]
MODES = ("affine", "mxfp4")


def _quantised(kind: str, mode: str) -> Any:
    """A model with random weights, packed to four bits with 16-bit scales, as the Hub has them."""
    mx, nn = importlib.import_module("mlx.core"), importlib.import_module("mlx.nn")
    module = importlib.import_module(f"mlx_lm.models.{kind}")
    mx.random.seed(7)
    model = module.Model(
        module.ModelArgs.from_dict({**CPU_SIZES, "model_type": kind, **MODELS[kind]})
    )
    model.set_dtype(mx.bfloat16)
    nn.quantize(model, group_size=32, bits=4, mode=mode)
    mx.eval(model.parameters())
    return model


def _greedy(model: Any, count: int = 24) -> list[int]:
    mx = importlib.import_module("mlx.core")
    steps = importlib.import_module("mlx_lm.generate").generate_step(
        mx.array(PROMPT), model, max_tokens=count
    )
    return [int(token) for token, _ in steps]


def _in_float32(model: Any) -> Any:
    """As mlx-lm has it: everything that is a float in 32 bits, layers still packed."""
    mx, utils = importlib.import_module("mlx.core"), importlib.import_module("mlx.utils")
    model.update(utils.tree_map(
        lambda a: a.astype(mx.float32) if mx.issubdtype(a.dtype, mx.floating) else a,
        model.parameters(),
    ))  # fmt: skip
    return model


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", sorted(MODELS))
def test_unpacked_layers_say_what_mlx_lm_s_float32_model_says(
    engine: Engine, kind: str, mode: str
) -> None:
    def compare() -> tuple[list[int], list[int], int]:
        weights = importlib.import_module("engine.inference.cpu_weights")
        utils = importlib.import_module("mlx_lm.utils")
        reference = _greedy(utils.dequantize_model(_in_float32(_quantised(kind, mode))))
        model = _quantised(kind, mode)
        weights.widen(model)
        layers = weights.UnpackedLayers(model)
        assert sum(layers.unpack_steps(lambda _: True)) == layers.extra_bytes > 0
        return reference, _greedy(model), layers.extra_bytes

    reference, ours, _ = on_thread(engine, compare)
    assert len(ours) == 24
    assert ours == reference


@pytest.mark.parametrize("kind", sorted(MODELS))
def test_packed_layers_with_wide_scales_say_what_mlx_lm_s_float32_model_says(
    engine: Engine, kind: str
) -> None:
    def compare() -> tuple[list[int], list[int]]:
        weights = importlib.import_module("engine.inference.cpu_weights")
        reference = _greedy(_in_float32(_quantised(kind, "affine")))
        model = _quantised(kind, "affine")
        weights.widen(model)
        return reference, _greedy(model)

    reference, ours = on_thread(engine, compare)
    assert ours == reference


def _with_layers(engine: Engine, check: Callable[[Any, Any, Any], Any]) -> Any:
    def run() -> Any:
        weights = importlib.import_module("engine.inference.cpu_weights")
        model = _quantised("llama", "affine")
        weights.widen(model)
        return check(weights, model, weights.UnpackedLayers(model))

    return on_thread(engine, run)


def test_what_does_not_fit_stays_packed(engine: Engine) -> None:
    def check(weights: Any, model: Any, layers: Any) -> None:
        everything = sum(layers.unpack_steps(lambda _: True))
        layers.pack()
        assert layers.extra_bytes == 0
        half = list(layers.unpack_steps(lambda size: layers.extra_bytes + size <= everything // 2))
        assert 0 < sum(half) == layers.extra_bytes <= everything // 2
        rest = list(layers.unpack_steps(lambda _: True))  # none of the first half again
        assert sum(rest) == everything - sum(half)

    _with_layers(engine, check)


def test_packing_again_gives_the_memory_back_and_the_answers_stay(engine: Engine) -> None:
    def check(weights: Any, model: Any, layers: Any) -> None:
        mx, backend = importlib.import_module("mlx.core"), engine.inference._thread._backend
        mx.eval(model.parameters())
        before, said = backend.active_memory_bytes(), _greedy(model)
        extra_bytes = sum(layers.unpack_steps(lambda _: True))
        assert backend.active_memory_bytes() - before >= extra_bytes
        layers.pack()
        backend.release_memory()
        assert backend.active_memory_bytes() - before < extra_bytes // 10
        assert _greedy(model) == said

    _with_layers(engine, check)
