"""Filters act on the result; order is stable."""

import random
from dataclasses import replace
from typing import Any

import pytest

from engine.hub.score import score_model
from engine.hub.search import RankedModel, haystack_of, select
from engine.records import ChatReadiness, Fit, ModelSummary, SearchQuery

READY = ChatReadiness(True)


def ranked(summary: ModelSummary, fit: Fit = "fits", ready: bool = True) -> RankedModel:
    readiness = READY if ready else ChatReadiness(False, ("No.",))
    score = score_model(summary, fit, readiness, 1.76e9)
    return RankedModel(summary, fit, summary.weights_bytes, readiness, score, haystack_of(summary))


PEAR = ModelSummary(
    "org/Pear-4B-4bit", model_type="text-generation", architecture="qwen3", quantization="4-bit",
    methods=("DWQ",), parameters=4_000_000_000, weights_bytes=2_200_000_000, downloads=900,
    likes=9, trending=3.0, updated_at=1.75e9, tags=("mlx", "Chat"),
)  # fmt: skip
PLUM = ModelSummary(
    "org/Plum-30B-bf16", model_type="image-text-to-text", architecture="gemma3",
    quantization="bf16", parameters=30_000_000_000, weights_bytes=60_000_000_000, downloads=5000,
    likes=50, updated_at=1.70e9, tags=("mlx",),
)  # fmt: skip
FIG = ModelSummary("other/Fig-tiny", downloads=900, likes=1, trending=9.0, updated_at=1.76e9)
MODELS = [ranked(PEAR), ranked(PLUM, "too large"), ranked(FIG, "unknown", ready=False)]


def names(**query: Any) -> list[str]:
    return [m.summary.repo_id.partition("/")[2] for m in select(MODELS, SearchQuery(**query))]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"text": "pear"}, {"Pear-4B-4bit"}),
        ({"text": "  ORG 30b "}, {"Plum-30B-bf16"}),
        ({"text": "qwen3"}, {"Pear-4B-4bit"}),
        ({"text": "pear plum"}, set()),
        ({"model_type": "image-text-to-text"}, {"Plum-30B-bf16"}),
        ({"size_class": "medium"}, {"Pear-4B-4bit"}),
        ({"size_class": "extra large"}, {"Plum-30B-bf16"}),
        ({"size_class": "unknown"}, {"Fig-tiny"}),
        ({"quantization": "4-bit"}, {"Pear-4B-4bit"}),
        ({"quantization": "DWQ"}, {"Pear-4B-4bit"}),
        ({"quantization": "bf16/fp16"}, {"Plum-30B-bf16"}),
        ({"architecture": "gemma3"}, {"Plum-30B-bf16"}),
        ({"exclude_architectures": ("gemma3", "unknown")}, {"Pear-4B-4bit"}),
        ({"tags": ("chat",)}, {"Pear-4B-4bit"}),
        ({"tags": ("mlx", "chat")}, {"Pear-4B-4bit"}),
        ({"min_downloads": 901}, {"Plum-30B-bf16"}),
        ({"min_likes": 9}, {"Pear-4B-4bit", "Plum-30B-bf16"}),
        ({"max_weights_bytes": 3_000_000_000}, {"Pear-4B-4bit"}),
        ({"fits_only": True}, {"Pear-4B-4bit"}),
        ({"chat_ready_only": True}, {"Pear-4B-4bit", "Plum-30B-bf16"}),
        ({}, {"Pear-4B-4bit", "Plum-30B-bf16", "Fig-tiny"}),
    ],
)
def test_every_filter_acts_on_the_result(query: dict[str, Any], found: set[str]) -> None:
    assert set(names(**query)) == found


@pytest.mark.parametrize(
    ("sort", "first"),
    [
        ("score", "Pear-4B-4bit"),
        ("downloads", "Plum-30B-bf16"),
        ("likes", "Plum-30B-bf16"),
        ("trending", "Fig-tiny"),
        ("newest", "Fig-tiny"),
        ("size", "Pear-4B-4bit"),
    ],
)
def test_each_order_puts_the_right_one_first(sort: str, first: str) -> None:
    assert names(sort=sort)[0] == first


def test_models_of_unknown_size_come_last_by_size() -> None:
    assert names(sort="size")[-1] == "Fig-tiny"


def test_ties_keep_one_order_however_the_models_arrive() -> None:
    models = [ranked(replace(FIG, repo_id=f"o/{n:03}", downloads=n % 3)) for n in range(60)]
    expected = select(models, SearchQuery(sort="likes", limit=100))
    shuffled = list(models)
    random.Random(4).shuffle(shuffled)
    assert select(shuffled, SearchQuery(sort="likes", limit=100)) == expected


def test_the_limit_is_kept_and_bounded() -> None:
    assert len(select(MODELS, SearchQuery(limit=2))) == 2
    assert select(MODELS, SearchQuery(limit=-5)) == []


def test_ten_thousand_characters_in_the_search_box_are_cut_not_refused() -> None:
    assert names(text="pear " * 2000) == ["Pear-4B-4bit"]
