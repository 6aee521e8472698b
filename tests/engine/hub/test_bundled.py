"""The bundled list is sound, and its picks fit the machines that they are picked for."""

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest

from engine.hub.bundled import CATALOGUE, load_bundled, picks_for
from engine.inference.architectures import supported_architectures

BUNDLED = load_bundled()
MODELS = {summary.repo_id: summary for summary in BUNDLED.summaries}
SIZES_GB = (8, 16, 24, 32, 48, 64, 96, 128)
LABELS = {"2-bit", "3-bit", "4-bit", "5-bit", "6-bit", "8-bit", "mxfp4", "nvfp4", "bf16", "fp16"}
TASKS = {"text-generation", "image-text-to-text"}


def _kv_bytes_per_token(config: Mapping[str, Any]) -> int:
    """At most: as if every layer kept keys and values of two bytes for every token."""
    row = config["num_key_value_heads"] * config["head_dim"]
    return int(config["num_hidden_layers"] * 2 * row * 2)


def test_there_are_enough_models_and_each_stands_there_once() -> None:
    assert len(BUNDLED.summaries) >= 120
    assert len(MODELS) == len(BUNDLED.summaries)
    assert all(re.fullmatch(r"[\w.-]+/[\w.-]+", repo_id) for repo_id in MODELS)
    assert list(MODELS) == sorted(MODELS, key=str.lower)


def test_the_file_is_small_and_has_a_line_per_model() -> None:
    text = CATALOGUE.read_text(encoding="utf-8")
    assert len(text.encode()) < 150_000
    lines = [line for line in text.splitlines() if line.startswith('    {"repo_id"')]
    assert len(lines) == len(MODELS) and all(json.loads(line.rstrip(",")) for line in lines)


@pytest.mark.parametrize("repo_id", MODELS)
def test_a_models_facts_agree(repo_id: str) -> None:
    model = MODELS[repo_id]
    assert model.quantization in LABELS and model.model_type in TASKS
    assert model.parameters and model.weights_bytes and model.bits
    bits_each = 8 * model.weights_bytes / model.parameters
    # Scales take up to a bit each; eyes and ears are left at 16 bits.
    assert model.bits <= bits_each * 1.02 and bits_each <= model.bits * 1.2 + 2.1
    assert model.context_tokens is None or 2**12 <= model.context_tokens <= 2**20
    assert model.downloads >= 0 and model.license != ""
    assert set(model.guessed) <= {"weights_bytes"}


@pytest.mark.parametrize("repo_id", BUNDLED.configs)
def test_a_config_tells_the_memory_of_a_chat(repo_id: str) -> None:
    config, model = BUNDLED.configs[repo_id], MODELS[repo_id]
    assert 1_000 < _kv_bytes_per_token(config) < 1_500_000
    assert config["vocab_size"] > 10_000
    assert config.get("max_position_embeddings") == model.context_tokens


@pytest.mark.parametrize("memory_gb", SIZES_GB)
def test_picks_for_a_memory_size(memory_gb: int) -> None:
    picks = BUNDLED.picks[memory_gb]
    assert 3 <= len(picks) <= 5 and len({pick.repo_id for pick in picks}) == len(picks)
    for pick in picks:
        model = MODELS[pick.repo_id]
        assert model.has_chat_template and model.model_type == "text-generation"
        assert model.architecture in (supported_architectures() or {model.architecture})
        share = 0.57 if memory_gb <= 32 else 0.67
        assert pick.weights_bytes == model.weights_bytes
        assert (model.weights_bytes or 0) <= share * memory_gb * 1e9
        assert 20 <= len(pick.reason) <= 90 and pick.reason.endswith(".")


@pytest.mark.parametrize("memory_gb", SIZES_GB)
def test_picks_leave_room_for_a_usual_chat(memory_gb: int) -> None:
    """Metal offers about two thirds of the memory up to 36 GB, three quarters above."""
    budget = int(memory_gb * 2**30 * (0.66 if memory_gb < 36 else 0.75))
    picks = picks_for(BUNDLED, budget)
    assert picks == BUNDLED.picks[memory_gb]
    for pick in picks:
        cache_bytes = 8192 * _kv_bytes_per_token(BUNDLED.configs[pick.repo_id])
        assert pick.weights_bytes + cache_bytes + 200_000_000 < 0.9 * budget


def test_every_budget_gets_picks_that_fit_it() -> None:
    for budget in range(500_000_000, 200_000_000_000, 700_000_000):
        picks = picks_for(BUNDLED, budget)
        assert picks and all(pick.weights_bytes <= 0.85 * budget for pick in picks)


def test_no_memory_no_picks() -> None:
    assert picks_for(BUNDLED, 0) == ()
    assert picks_for(BUNDLED, 100_000_000) == ()


def test_its_month_is_known() -> None:
    assert BUNDLED.as_of == "2026-11"
    assert BUNDLED.as_of_at == 1_793_491_200.0


def test_methods_are_read_from_names() -> None:
    assert MODELS["mlx-community/Qwen3.6-35B-A3B-4bit-DWQ"].methods == ("DWQ",)
