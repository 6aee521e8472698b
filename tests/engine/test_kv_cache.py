"""Cache sizes against mlx-lm's own caches, to the byte, and against published figures."""

import json
import subprocess
import sys
import time
from typing import Any

import pytest

from engine.library.kv_cache import kv_cache_size
from engine.library.layers import MAX_LAYERS, layer_caches
from tests.app_process import ROOT
from tests.engine.real_caches import TOKENS
from tests.engine.tiny_configs import TINY_CONFIGS

LIMIT_S = 120.0


@pytest.fixture(scope="module")
def real_bytes() -> dict[str, Any]:
    """What mlx-lm keeps for every tiny config: one child process builds and runs them all."""
    child = subprocess.run(
        [sys.executable, "-m", "tests.engine.real_caches"],
        cwd=ROOT, input=json.dumps(list(TINY_CONFIGS.values())),
        capture_output=True, text=True, timeout=LIMIT_S,
    )  # fmt: skip
    assert child.returncode == 0, child.stderr
    return dict(zip(TINY_CONFIGS, json.loads(child.stdout.splitlines()[-1]), strict=True))


@pytest.mark.parametrize("name", TINY_CONFIGS)
def test_the_size_is_what_mlx_lm_keeps(name: str, real_bytes: dict[str, Any]) -> None:
    config = TINY_CONFIGS[name]
    size = kv_cache_size(config, kv_bits=config.get("kv_bits", 16))
    assert size is not None
    assert size.bytes_at(TOKENS) == real_bytes[name]


# Keys and values of one token, worked out by hand from the models' own configs; at 128k tokens.
GPT_OSS_20B = {"model_type": "gpt_oss", "num_hidden_layers": 24, "num_attention_heads": 64,
               "num_key_value_heads": 8, "head_dim": 64, "hidden_size": 2880,
               "sliding_window": 128}  # fmt: skip
DEEPSEEK_R1 = {"model_type": "deepseek_v3", "num_hidden_layers": 61, "num_attention_heads": 128,
               "num_key_value_heads": 128, "hidden_size": 7168, "kv_lora_rank": 512,
               "qk_rope_head_dim": 64, "qk_nope_head_dim": 128, "v_head_dim": 128}  # fmt: skip
QWEN3_5_MOE = {"model_type": "qwen3_5_moe_text", "num_hidden_layers": 40, "hidden_size": 2048,
               "num_attention_heads": 16, "num_key_value_heads": 2, "head_dim": 256,
               "full_attention_interval": 4, "linear_num_value_heads": 32,
               "linear_num_key_heads": 16, "linear_value_head_dim": 128,
               "linear_key_head_dim": 128, "linear_conv_kernel_dim": 4}  # fmt: skip


@pytest.mark.parametrize(
    ("config", "expected"),
    [(GPT_OSS_20B, 12 * 2 * 8 * 64 * 2 * (131_072 + 128)),
     (DEEPSEEK_R1, 61 * (512 + 64) * 2 * 131_072),
     ({**DEEPSEEK_R1, "model_type": "deepseek_v2"},  # mlx-lm expands what it keeps
      61 * 128 * (128 + 64 + 128) * 2 * 131_072),
     (QWEN3_5_MOE, 10 * 2 * 2 * 256 * 2 * 131_072
      + 30 * (3 * (2 * 16 * 128 + 32 * 128) * 2 + 32 * 128 * 128 * 4))],
)  # fmt: skip
def test_published_configs(config: dict[str, Any], expected: int) -> None:
    size = kv_cache_size(config)
    assert size and size.bytes_at(131_072) == expected


def test_an_unknown_architecture_keeps_keys_and_values_of_every_layer() -> None:
    plain = {"num_hidden_layers": 2, "num_key_value_heads": 2, "head_dim": 64}
    size = kv_cache_size({**plain, "model_type": "newest", "sliding_window": 64})
    assert size and (size.bytes_per_token, size.windows) == (2 * 2 * 2 * 64 * 2, ())


@pytest.mark.parametrize(
    "config",
    [{}, {"num_hidden_layers": 2}, {"num_hidden_layers": 2, "head_dim": 64},
     {"model_type": "mamba2", "num_hidden_layers": 2}, {"model_type": "qwen3_next"},
     {"num_hidden_layers": 10**12, "num_key_value_heads": 2, "head_dim": 64},
     {"num_hidden_layers": MAX_LAYERS + 1, "num_key_value_heads": 2, "head_dim": 64}],
)  # fmt: skip
def test_what_a_config_does_not_say_is_unknown(config: dict[str, Any]) -> None:
    assert kv_cache_size(config) is None


@pytest.mark.parametrize("name", TINY_CONFIGS)
def test_no_value_in_a_config_breaks_the_size(name: str) -> None:
    started = time.monotonic()
    good = TINY_CONFIGS[name]
    for key in {*good, "layer_types", "block_types", "attn_config", "linear_attn_config",
                "full_attn_idxs", "loop_loss_weights", "num_kv_shared_layers"}:  # fmt: skip
        for value in (None, True, 0, -1, 10**9, 2**70, 1.5, float("nan"), "", "xy", [], [[], {}],
                      [1, None] * 9, {}, {"head_dim": []}):  # fmt: skip
            layer_caches({**good, key: value})
            kv_cache_size({"text_config": {**good, key: value}}, kv_bits=4)
    assert time.monotonic() - started < 5
