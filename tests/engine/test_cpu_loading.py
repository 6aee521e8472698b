"""On a CPU a model is loaded in the fastest form that there is memory for, and estimated so."""

import pytest

from engine import Engine
from engine.errors import InsufficientMemory
from engine.library.memory import estimate_memory
from engine.records import MemoryEstimate
from tests.engine.answers import ask
from tests.engine.conftest import SetBudget
from tests.engine.inference_thread import loaded_model, on_thread
from tests.engine.packed import write_packed_model

PACKED = "tiny/packed"
SHAPE = {"layers": 4, "hidden": 256, "heads": 8, "kv_heads": 4}
LEAST_TOKENS, USUAL_TOKENS = 1024, 4096
HEADER_BYTES = 20_000


@pytest.fixture(autouse=True)
def packed(engine: Engine) -> None:
    """The model is there."""
    write_packed_model(engine, PACKED, **SHAPE)


def _estimate(engine: Engine) -> MemoryEstimate:
    return engine.library.check(PACKED).estimate


def _loaded_bytes(engine: Engine) -> int:
    return engine.inference.load(PACKED).result(60).memory_bytes


def _needed_bytes(form: MemoryEstimate, tokens: int) -> int:
    assert form.kv_cache
    return form.base_bytes + form.kv_cache.bytes_at(tokens)


def test_with_memory_enough_it_is_unpacked_and_takes_what_the_estimate_says(
    engine: Engine, set_budget: SetBudget
) -> None:
    estimate = _estimate(engine)
    set_budget(_needed_bytes(estimate, USUAL_TOKENS) + estimate.unpacked_bytes + HEADER_BYTES)
    expected = estimate.weights_bytes + estimate.unpacked_bytes
    assert abs(_loaded_bytes(engine) - expected) < 0.02 * expected


def test_a_model_that_fits_packed_but_not_unpacked_loads_packed(
    engine: Engine, set_budget: SetBudget
) -> None:
    estimate = _estimate(engine)
    set_budget(_needed_bytes(estimate, USUAL_TOKENS))
    assert abs(_loaded_bytes(engine) - estimate.weights_bytes) < 0.05 * estimate.weights_bytes
    assert ask(engine, "hello", PACKED).stats.output_tokens == 24


def test_where_there_is_room_for_some_layers_some_are_unpacked(
    engine: Engine, set_budget: SetBudget
) -> None:
    estimate = _estimate(engine)
    set_budget(_needed_bytes(estimate, USUAL_TOKENS) + estimate.unpacked_bytes // 2)
    extra_bytes = _loaded_bytes(engine) - estimate.weights_bytes
    assert estimate.unpacked_bytes // 4 < extra_bytes <= estimate.unpacked_bytes // 2


def test_a_model_that_fits_only_as_its_files_are_stays_so(
    engine: Engine, set_budget: SetBudget
) -> None:
    narrow = _estimate(engine).narrow
    assert narrow
    set_budget(_needed_bytes(narrow, LEAST_TOKENS) + HEADER_BYTES)
    assert abs(_loaded_bytes(engine) - narrow.weights_bytes) < HEADER_BYTES
    set_budget(_needed_bytes(narrow, USUAL_TOKENS) + 10**6)  # no reason to mix the types either
    assert ask(engine, "hello", PACKED).stats.output_tokens == 24


def test_a_model_that_fits_in_no_form_is_refused_and_nobody_leaves_for_it(
    engine: Engine, set_budget: SetBudget
) -> None:
    set_budget(10**9)
    engine.inference.load("tiny/other").result(60)
    narrow = _estimate(engine).narrow
    assert narrow
    set_budget(_needed_bytes(narrow, LEAST_TOKENS) - HEADER_BYTES)
    with pytest.raises(InsufficientMemory):
        engine.inference.load(PACKED).result(60)
    assert [model.repo_id for model in engine.inference.loaded()] == ["tiny/other"]


def test_an_idle_model_is_packed_again_before_any_model_leaves(
    engine: Engine, set_budget: SetBudget
) -> None:
    set_budget(10**9)
    unpacked_bytes = _loaded_bytes(engine)
    said = ask(engine, "hello", PACKED, max_tokens=60).text
    other = engine.library.check("tiny/other").estimate
    estimate = _estimate(engine)
    assert estimate.kv_cache
    least_bytes = other.kv_cache.bytes_at(512) if other.kv_cache else 0  # its whole context
    set_budget(_needed_bytes(estimate, 512) + other.weights_bytes + least_bytes)
    engine.inference.load("tiny/other").result(60)
    both = {model.repo_id: model.memory_bytes for model in engine.inference.loaded()}
    assert both[PACKED] < unpacked_bytes // 4 and "tiny/other" in both
    packed = loaded_model(engine, PACKED)
    assert not on_thread(engine, lambda: packed.extra_bytes)
    assert ask(engine, "hello", PACKED, max_tokens=60).text == said


def test_the_estimate_follows_the_budget() -> None:
    config = {"num_hidden_layers": 28, "num_attention_heads": 16, "num_key_value_heads": 8,
              "hidden_size": 1024, "head_dim": 128, "vocab_size": 151_936,
              "quantization": {"bits": 4, "group_size": 64}}  # fmt: skip
    weights_bytes = 600_000_000 * 9 // 16  # 4 bits, and 32 for every 64 weights
    wide = estimate_memory(config, weights_bytes, None, on_cpu=True)
    assert wide.weights_bytes == 600_000_000 * 10 // 16  # the same with 64 for every 64
    assert wide.unpacked_bytes == 600_000_000 * 4
    assert wide.kv_bytes_per_token == 2 * 114_688
    assert wide.narrow and wide.total_bytes and wide.narrow.total_bytes
    elsewhere = estimate_memory(config, weights_bytes, 10**10)
    assert wide.narrow.kv_bytes == elsewhere.kv_bytes
    assert (elsewhere.weights_bytes, elsewhere.unpacked_bytes) == (weights_bytes, 0)
    at = [
        (wide.within(budget).kv_bytes_per_token, wide.within(budget).fit,
         wide.within(budget).is_slow)
        for budget in (10**10, wide.total_bytes + 10**9, wide.total_bytes - 1,
                       wide.narrow.total_bytes - 1)
    ]  # fmt: skip
    assert at == [
        (229_376, "fits", False), (229_376, "fits", True), (114_688, "fits", True),
        (114_688, "too large", False),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("config", "wide", "unpacked"),
    [({"torch_dtype": "bfloat16"}, 2_000, 0), ({"torch_dtype": "float32"}, 1_000, 0),
     ({"quantization": {"bits": 4, "mode": "mxfp4"}}, 1_000, 7_529),
     ({"quantization": {"bits": 8, "group_size": 32, "mode": "affine"}}, 1_111, 3_555),
     ({"quantization": {"bits": 4, "group_size": 32}, "torch_dtype": "float32"}, 1_000, 5_333),
     ({"quantization": {"bits": 0}}, 2_000, 0), ({"quantization": {"mode": []}}, 2_000, 0),
     ({"quantization": 4}, 2_000, 0)],
)  # fmt: skip
def test_float32_weights_by_how_a_model_is_packed(
    config: dict[str, object], wide: int, unpacked: int
) -> None:
    estimate = estimate_memory(config, 1_000, None, on_cpu=True)
    assert (estimate.weights_bytes, estimate.unpacked_bytes) == (wide, unpacked)
