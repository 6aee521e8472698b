"""Whatever the Hub sends, a summary comes out whole or not at all."""

import dataclasses
import json
import random
from typing import Any

import pytest

from engine.hub.facts import summary_from_hub
from engine.records import ModelSummary

LABELS = {
    "2-bit", "3-bit", "4-bit", "5-bit", "6-bit", "8-bit", "mxfp4", "nvfp4", "mxfp8",
    "bf16", "fp16", "fp32", "unknown",
}  # fmt: skip
FIELDS = [
    "id", "modelId", "downloads", "likes", "trendingScore", "lastModified", "createdAt", "tags",
    "pipeline_tag", "library_name", "gated", "disabled", "safetensors", "config", "siblings",
    "cardData", "baseModels", "usedStorage",
]  # fmt: skip
NESTED = [
    "parameters", "total", "U32", "BF16", "U8", "F32", "I32", "quantization", "quantization_config",
    "bits", "group_size", "mode", "quant_method", "load_in_4bit", "model_type", "text_config",
    "torch_dtype", "tokenizer_config", "chat_template", "auto_map", "license", "license_name",
    "base_model", "models", "id", "rfilename", "size", "max_position_embeddings",
]  # fmt: skip
ODD = [
    None, True, False, 0, 1, 4, 8, 64, -1, 2**31, 2**53, 2**63, 2**70, -(2**70), 10**400, 0.5,
    1e300, float("nan"), float("inf"), "", "4", "a/b", "mxfp4", "affine", "bfloat16",
    "\ud800", "\x00", "license:", "base_model:", "4-bit", "9999-99-99", "2026-01-01T00:00:00Z",
    "9999-12-31T23:59:59-23:59", "x" * 5000, "model.safetensors", b"bytes",
]  # fmt: skip


def _anything(rng: random.Random, depth: int = 0) -> Any:
    kind = rng.random()
    if depth > 2 or kind < 0.5:
        return rng.choice(ODD)
    if kind < 0.65:
        return [_anything(rng, depth + 1) for _ in range(rng.randrange(4))]
    names = rng.sample(NESTED, rng.randrange(12))
    return {rng.choice([name, name, 7, None]): _anything(rng, depth + 1) for name in names}


@pytest.mark.parametrize("seed", range(20))
def test_any_shape_of_any_field_gives_a_sound_summary(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(200):
        raw = {field: _anything(rng) for field in FIELDS if rng.random() < 0.8}
        if rng.random() < 0.9:
            raw["id"] = rng.choice(["a/b", "org/Qwen3-8B-4bit", "org/gpt-oss-20b-MXFP4-Q8"])
        summary = summary_from_hub(raw)
        if summary is not None:
            _check(summary)
        else:
            assert raw.get("id") not in ("a/b", "org/Qwen3-8B-4bit")


@pytest.mark.parametrize("seed", range(20))
def test_any_counts_give_a_sound_summary(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(200):
        counts = {dtype: rng.choice([0, 1, 7, 10**6, 10**9, 10**15])
                  for dtype in ("U32", "U8", "BF16", "F16", "F32", "I32", "F8_E4M3", "F8_E8M0", "?")
                  if rng.random() < 0.5}  # fmt: skip
        quantization = {"bits": rng.choice([1, 2, 3, 4, 5, 6, 8, 4.0, 0, 99]),
                        "group_size": rng.choice([16, 32, 64, 128, 0, -5, "64"]),
                        "mode": rng.choice(["affine", "mxfp4", "nvfp4", "mxfp8", "odd", None]),
                        "layer": {"bits": rng.choice([2, 4, 8, "8"])}}  # fmt: skip
        summary = summary_from_hub({
            "id": rng.choice(["a/b", "a/b-8B"]),
            "safetensors": {"parameters": counts, "total": rng.choice([None, 0, 10**9, 10**15])},
            "config": {rng.choice(["quantization", "quantization_config"]): quantization},
            "usedStorage": rng.choice([None, 0, 1, 10**9, 10**13]),
        })  # fmt: skip
        assert summary is not None
        _check(summary)


def _check(summary: ModelSummary) -> None:
    assert summary.quantization in LABELS
    assert summary.bits is None or 0 < summary.bits <= 64
    for number in (summary.parameters, summary.weights_bytes, summary.context_tokens):
        assert number is None or (type(number) is int and 0 < number < 10**17)
    for number in (summary.downloads, summary.likes):
        assert type(number) is int and 0 <= number <= 10**15
    for flag in (summary.is_gated, summary.is_disabled):
        assert type(flag) is bool
    for text in (*summary.tags, *summary.base_models, *(summary.files or ()), summary.license or "",
                 summary.model_type, summary.library, summary.architecture):  # fmt: skip
        assert type(text) is str
        text.encode("utf-8")
    hash(summary)
    json.dumps(dataclasses.asdict(summary), allow_nan=False)
    assert summary.size_class in (
        "tiny", "small", "medium", "large", "extra large", "unknown",
    )  # fmt: skip
