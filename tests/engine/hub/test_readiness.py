"""Will it chat? Known before a byte of weights moves."""

from dataclasses import replace

import pytest

from engine.hub.readiness import chat_readiness
from engine.records import ModelSummary

KNOWN = frozenset({"llama", "qwen3", "qwen2_vl"})
FILES = ("config.json", "tokenizer.json", "model-00001-of-00002.safetensors", "README.md")
GOOD = ModelSummary(
    "org/Model-4bit", model_type="text-generation", architecture="qwen3", files=FILES,
    has_chat_template=True,
)  # fmt: skip


def test_a_complete_chat_model_of_a_known_architecture_will_chat() -> None:
    assert chat_readiness(GOOD, KNOWN).ok
    assert chat_readiness(GOOD, KNOWN).blockers == ()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"architecture": "quantum"}, "does not know its architecture “quantum”"),
        ({"architecture": "quantum", "needs_code": True}, "code of its own"),
        ({"architecture": "unknown"}, "does not say which architecture"),
        ({"has_chat_template": False}, "no chat template"),
        ({"has_chat_template": None}, "Neither a chat template nor its name"),
        ({"model_type": "feature-extraction"}, "embeddings"),
        ({"model_type": "text-to-image"}, "images"),
        ({"model_type": "automatic-speech-recognition"}, "speech"),
        ({"is_gated": True}, "permission"),
        ({"is_disabled": True}, "switched this model off"),
        ({"files": ("config.json", "tokenizer.json", "model.gguf")}, "GGUF"),
        ({"files": ("config.json", "tokenizer.json", "weights.npz")}, "no weights that MLX loads"),
        ({"files": ("tokenizer.json", "model.safetensors")}, "no config.json"),
        ({"files": ("config.json", "model.safetensors")}, "no tokenizer"),
        ({"files": ("adapter_config.json", "adapters.safetensors")}, "adapter"),
    ],
)
def test_what_stands_in_the_way_is_said_in_a_sentence(
    changes: dict[str, object], words: str
) -> None:
    readiness = chat_readiness(replace(GOOD, **changes), KNOWN)  # type: ignore[arg-type]
    assert not readiness.ok
    assert any(words in blocker for blocker in readiness.blockers), readiness.blockers
    assert all(blocker.endswith(".") for blocker in readiness.blockers)


@pytest.mark.parametrize("name", ["Model-it-4bit", "Model-Instruct", "model-chat-q4", "X-Thinking"])
def test_a_name_that_says_it_converses_stands_in_for_an_unlisted_template(name: str) -> None:
    assert chat_readiness(replace(GOOD, repo_id=f"org/{name}", has_chat_template=None), KNOWN).ok


@pytest.mark.parametrize("name", ["Kit-7B-4bit", "Digital-Model", "Chatter", "base-model"])
def test_a_name_that_only_looks_like_it_does_not(name: str) -> None:
    model = replace(GOOD, repo_id=f"org/{name}", has_chat_template=None)
    assert not chat_readiness(model, KNOWN).ok


def test_a_gated_model_that_was_opened_to_this_person_will_chat() -> None:
    gated = replace(GOOD, is_gated=True)
    assert chat_readiness(gated, KNOWN, has_access=True).ok
    assert not chat_readiness(gated, KNOWN, has_access=False).ok


def test_files_that_the_hub_did_not_list_block_nothing() -> None:
    assert chat_readiness(replace(GOOD, files=None), KNOWN).ok


def test_a_vision_model_whose_language_part_is_known_will_chat() -> None:
    seeing = replace(GOOD, model_type="image-text-to-text", architecture="qwen2_vl")
    assert chat_readiness(seeing, KNOWN).ok
