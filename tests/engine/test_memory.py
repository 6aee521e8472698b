"""Memory estimates against numbers worked out by hand."""

from typing import Any

import pytest

from engine.library.memory import (
    context_tokens,
    estimate_memory,
    kv_bytes_per_token,
    number,
    working_bytes,
)
from engine.records import KVCacheSize

# Llama-2-7B: 32 layers x 2 x 32 heads x 128 x 2 bytes.
MHA = {"num_hidden_layers": 32, "num_attention_heads": 32, "hidden_size": 4096}
# Llama-3-8B: 32 layers x 2 x 8 KV heads x 128 x 2 bytes.
GQA = {**MHA, "num_key_value_heads": 8}
# Qwen3-0.6B: 28 layers x 2 x 8 KV heads x 128 (not hidden / heads = 64) x 2 bytes.
OWN_HEAD_SIZE = {"num_hidden_layers": 28, "num_attention_heads": 16, "num_key_value_heads": 8,
                 "hidden_size": 1024, "head_dim": 128}  # fmt: skip
# DeepSeek-V2-Lite: 27 layers x (512 + 64) x 2 bytes.
MLA = {"num_hidden_layers": 27, "num_attention_heads": 16, "num_key_value_heads": 16,
       "hidden_size": 2048, "kv_lora_rank": 512, "qk_rope_head_dim": 64}  # fmt: skip
YARN = {"rope_type": "yarn", "factor": 40.0, "original_max_position_embeddings": 4096}
GPT2 = {"n_layer": 12, "n_head": 12, "n_embd": 768}


@pytest.mark.parametrize(
    ("config", "expected"),
    [(MHA, 524_288), (GQA, 131_072), (OWN_HEAD_SIZE, 114_688), (MLA, 31_104), (GPT2, 36_864),
     ({"text_config": GQA, "num_hidden_layers": 1}, 131_072),
     ({"text_config": {**GQA, "num_hidden_layers": None}}, None), ({}, None)],
)  # fmt: skip
def test_kv_bytes_of_a_token(config: dict[str, object], expected: int | None) -> None:
    assert kv_bytes_per_token(config) == expected


def test_wider_elements_take_more() -> None:
    assert kv_bytes_per_token(GQA, element_bytes=4) == 2 * 131_072
    assert kv_bytes_per_token({**GQA, "torch_dtype": "float32"}) == 2 * 131_072
    assert kv_bytes_per_token({"text_config": {**GQA, "dtype": "float32"}}) == 2 * 131_072
    assert kv_bytes_per_token({**GQA, "torch_dtype": "float16"}) == 131_072


def test_packed_keys_and_values_take_their_bits_and_a_scale_and_an_offset_per_group() -> None:
    def at(bits: int) -> int | None:
        return estimate_memory(GQA, 0, None, 1_000, kv_bits=bits).kv_bytes

    values = 1_000 * 32 * 2 * 8 * 128
    assert at(8) == values + values // 64 * 4
    assert at(4) == values // 2 + values // 64 * 4


def test_the_total_grows_with_the_context_and_with_nothing_else_of_the_chat() -> None:
    short, long = (estimate_memory(GQA, 1_000, 10**12, context) for context in (2_000, 4_000))
    assert short.total_bytes and long.total_bytes
    assert long.total_bytes - short.total_bytes == 2_000 * 131_072
    assert estimate_memory({**GQA, "max_new_tokens": 10**6, "max_length": 10**6}, 1_000, 10**12,
                           2_000) == short  # fmt: skip


def test_the_context_is_at_most_the_models_own() -> None:
    assert estimate_memory({**GQA, "max_position_embeddings": 512}, 0, None).context_tokens == 512
    assert estimate_memory(GQA, 0, None, context=700).context_tokens == 700


@pytest.mark.parametrize(
    ("config", "expected"),
    [({}, 0), ({"n_ctx": 1024}, 1024), ({"model_max_length": 4096}, 4096),
     ({"text_config": {"max_position_embeddings": 32_768}}, 32_768),
     ({"text_config": {"hidden_size": 8}, "max_position_embeddings": 512}, 512),
     ({"max_position_embeddings": 163_840, "rope_scaling": YARN}, 163_840),
     ({"rope_scaling": YARN}, 163_840), ({"rope_parameters": YARN}, 163_840),
     ({"rope_scaling": {**YARN, "factor": "many"}}, 4096), ({"rope_scaling": 3}, 0),
     ({"rope_scaling": {**YARN, "factor": float("nan")}}, 4096)],
)  # fmt: skip
def test_the_longest_context_that_a_config_promises(config: Any, expected: int) -> None:
    assert context_tokens(config) == expected


def working(config: dict[str, Any], **settings: int) -> int:
    found = working_bytes(config, **settings)
    assert found is not None
    return found


def test_the_working_memory_knows_the_vocabulary_and_the_layers_width() -> None:
    assert working({**GQA, "vocab_size": 100_000}) - working(GQA) == 1_600_000
    assert working({**GQA, "intermediate_size": 11_008}) < working(GQA)  # 4 x hidden


def test_the_working_memory_is_that_of_one_step_not_of_the_whole_context() -> None:
    assert working(GQA, context=8_192) == working(GQA, context=100_000)
    assert working(GQA, step_tokens=512) < working(GQA, step_tokens=1_024)
    assert working(GQA, context=512) == working(GQA, step_tokens=512)


def test_attention_that_is_not_fused_writes_its_scores_out() -> None:
    """32 heads x 1,024 x 8,192 scores and as many probabilities of 2 bytes, for one layer."""
    scores_bytes = 2 * 32 * 1_024 * 8_192 * 2
    fused, unfused = ({**GQA, "head_dim": size} for size in (128, 256))
    assert working(unfused) - working(fused) == scores_bytes
    assert working({**fused, "attn_logit_softcapping": 50.0}) - working(fused) == scores_bytes
    assert working(MLA) > 2 * 16 * 1_024 * 8_192 * 2


def test_only_the_experts_that_are_chosen_work() -> None:
    experts = {**GQA, "num_experts": 128, "moe_intermediate_size": 768, "num_experts_per_tok": 4}
    assert working(experts) < working(GQA)
    assert working({**experts, "num_experts": 512}) == working(experts)
    assert working({**experts, "num_experts_per_tok": 16}) > working(experts)


def test_a_window_holds_a_step_more_while_the_prompt_is_read() -> None:
    windowed = {**GQA, "model_type": "llama", "sliding_window": 1_000,
                "layer_types": ["sliding_attention", "full_attention"] * 16}  # fmt: skip
    assert working(windowed) - working(GQA) == 1_024 * 131_072 // 2
    assert working(windowed, context=1_000) == working(GQA, context=1_000)


def test_a_window_fills_up_and_then_takes_no_more() -> None:
    size = KVCacheSize(state_bytes=1_000, bytes_per_token=10, windows=((100, 5), (300, 1)))
    assert [size.bytes_at(tokens) for tokens in (0, 50, 100, 200, 1_000)] == [
        1_000, 1_800, 2_600, 3_700, 11_800,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("limit", "tokens"),
    [(-5, 0), (999, 0), (1_000, 0), (1_015, 0), (1_016, 1), (2_600, 100), (3_700, 200),
     (11_799, 999), (10**12, 5_000)],
)  # fmt: skip
def test_the_longest_context_that_fits(limit: int, tokens: int) -> None:
    size = KVCacheSize(state_bytes=1_000, bytes_per_token=10, windows=((100, 5), (300, 1)))
    assert size.tokens_within(limit, 5_000) == tokens


@pytest.mark.parametrize(
    ("spare", "fit"), [(None, "unknown"), (-1, "too large"), (0, "tight"), (10**12, "fits")]
)
def test_the_fit_against_a_budget(spare: int | None, fit: str) -> None:
    total_bytes = estimate_memory(GQA, 1_000, None).total_bytes
    assert total_bytes
    budget_bytes = None if spare is None else total_bytes + spare
    assert estimate_memory(GQA, 1_000, budget_bytes).fit == fit


def test_what_a_config_does_not_say_is_unknown_not_nothing() -> None:
    estimate = estimate_memory({}, 1_000, 10**12)
    assert (estimate.kv_bytes, estimate.kv_bytes_per_token, estimate.working_bytes) == (None,) * 3
    assert (estimate.total_bytes, estimate.fit, estimate.base_bytes) == (None, "unknown", 1_000)
    assert estimate_memory({}, 1_000, 999).fit == "too large"  # the weights alone


@pytest.mark.parametrize("value", [None, "8", 8.0, True, -8, 0, [8], {}, 10**300])
def test_what_is_no_sensible_number_is_passed_over(value: object) -> None:
    assert number({"a": value, "b": 8}, "a", "b") == 8
    assert context_tokens({"max_position_embeddings": value}) == 0
