"""What a model was seen to take sets its estimate right, and no further than that carries."""

import itertools
from typing import Any

import pytest

from engine.estimates import MemoryEstimate
from engine.library.measured import corrected_memory, load_estimate
from engine.library.memory import estimate_memory
from engine.library.usage import Usage

QWEN = {
    "model_type": "qwen3", "hidden_size": 2560, "intermediate_size": 9728, "num_hidden_layers": 36,
    "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151_936,
    "max_position_embeddings": 40_960,
}  # fmt: skip
GEMMA = {
    "model_type": "gemma3_text", "hidden_size": 1152, "intermediate_size": 6912,
    "num_hidden_layers": 26, "num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 256,
    "vocab_size": 262_144, "sliding_window": 512, "max_position_embeddings": 32_768,
}  # fmt: skip
CONTEXTS = (1, 16, 300, 400, 401, 512, 2_000, 8_192, 20_000, 40_000)
WEIGHTS_BYTES = 2_263_000_000


def _measured(peak_bytes: int, context: int, prefill: int | None = None) -> Usage:
    prefill = context if prefill is None else prefill
    return Usage(
        measured_memory_bytes=peak_bytes, measured_context_tokens=context,
        measured_prefill_tokens=prefill,
    )  # fmt: skip


def _total(memory: MemoryEstimate | None) -> int:
    assert memory is not None and memory.total_bytes is not None
    return memory.total_bytes


@pytest.mark.parametrize("config", [QWEN, GEMMA], ids=["full", "windows"])
@pytest.mark.parametrize("share", [0.75, 1.0, 4.0])
@pytest.mark.parametrize("measured_at", CONTEXTS)
def test_at_the_measured_context_the_total_is_the_measured_peak(
    config: dict[str, Any], share: float, measured_at: int
) -> None:
    estimate = estimate_memory(config, WEIGHTS_BYTES, None, measured_at)
    peak_bytes = int(share * _total(estimate))
    usage = _measured(peak_bytes, measured_at)
    corrected = corrected_memory(config, WEIGHTS_BYTES, None, usage, measured_at)
    assert _total(corrected) == peak_bytes
    assert corrected is not None and corrected.weights_bytes <= WEIGHTS_BYTES


@pytest.mark.parametrize("config", [QWEN, GEMMA], ids=["full", "windows"])
@pytest.mark.parametrize("measured_at", CONTEXTS)
def test_a_corrected_estimate_grows_with_the_context_as_the_estimate_does(
    config: dict[str, Any], measured_at: int
) -> None:
    usage = _measured(7_000_000_000, measured_at)
    corrected = [
        _total(corrected_memory(config, WEIGHTS_BYTES, None, usage, at)) for at in CONTEXTS
    ]
    estimated = [_total(estimate_memory(config, WEIGHTS_BYTES, None, at)) for at in CONTEXTS]
    assert corrected == sorted(corrected)
    for (low, high), (a, b) in zip(
        itertools.pairwise(corrected), itertools.pairwise(estimated), strict=True
    ):
        assert high - low == b - a


def test_a_peak_below_the_kv_cache_alone_corrects_nothing() -> None:
    usage = _measured(10**9, 40_000)
    assert corrected_memory(QWEN, WEIGHTS_BYTES, None, usage) is None


def test_a_conversation_read_in_small_steps_does_not_hide_the_large_step() -> None:
    peak = _total(estimate_memory(QWEN, WEIGHTS_BYTES, None, 3_000, step_tokens=20))
    usage = _measured(peak, 3_000, prefill=20)
    estimate = estimate_memory(QWEN, WEIGHTS_BYTES, None)
    assert _total(corrected_memory(QWEN, WEIGHTS_BYTES, None, usage)) == estimate.total_bytes


def test_an_unknown_growth_is_corrected_up_to_the_measured_context() -> None:
    silent = {"model_type": "mystery"}
    assert estimate_memory(silent, WEIGHTS_BYTES, None).total_bytes is None
    usage = _measured(3 * 10**9, 8_192)
    assert _total(corrected_memory(silent, WEIGHTS_BYTES, None, usage)) == 3 * 10**9
    shorter = _measured(3 * 10**9, 8_191)
    assert corrected_memory(silent, WEIGHTS_BYTES, None, shorter) is None


@pytest.mark.parametrize(
    ("peak_bytes", "context", "prefill", "is_corrected"),
    [
        (9 * 10**9, 20, 20, True),  # more than estimated always counts
        (228 * 10**7, 20, 20, False),  # less counts only after comparable work
        (25 * 10**8, 8_192, 8_192, True),
        (25 * 10**8, 8_192, 20, False),
    ],
)
def test_a_load_trusts_less_memory_only_after_comparable_work(
    peak_bytes: int, context: int, prefill: int, is_corrected: bool
) -> None:
    usage = _measured(peak_bytes, context, prefill)
    estimate = estimate_memory(QWEN, WEIGHTS_BYTES, 10**10)
    corrected = corrected_memory(QWEN, WEIGHTS_BYTES, 10**10, usage)
    assert corrected != estimate and load_estimate(estimate, None, usage) is estimate
    assert load_estimate(estimate, corrected, usage) is (corrected if is_corrected else estimate)
