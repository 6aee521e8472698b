"""A summary says what the Hub says, and marks what it had to guess."""

from typing import Any

import pytest

from engine.hub.facts import summary_from_hub
from engine.records import ModelSummary

QWEN: dict[str, Any] = {
    "_id": "681000000000000000000000",
    "id": "mlx-community/Qwen3-14B-4bit",
    "downloads": 46559,
    "likes": 12,
    "trendingScore": 3,
    "lastModified": "2025-04-28T21:14:07.000Z",
    "createdAt": "2025-04-28T20:00:00.000Z",
    "tags": ["mlx", "safetensors", "qwen3", "license:apache-2.0", "4-bit",
             "base_model:Qwen/Qwen3-14B", "base_model:quantized:Qwen/Qwen3-14B"],
    "pipeline_tag": "text-generation",
    "library_name": "mlx",
    "gated": False,
    "disabled": False,
    "safetensors": {"parameters": {"BF16": 461921280, "U32": 1845985280}, "total": 2307906560},
    "config": {
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        "quantization_config": {"group_size": 64, "bits": 4},
        "max_position_embeddings": 40960,
        "tokenizer_config": {"chat_template": "{{ messages }}", "eos_token": "<|im_end|>"},
    },
    "siblings": [{"rfilename": "config.json"}, {"rfilename": "model.safetensors"}],
    "cardData": {"license": "apache-2.0", "base_model": "Qwen/Qwen3-14B"},
    "baseModels": {"relation": "quantized", "models": [{"_id": "1", "id": "Qwen/Qwen3-14B"}]},
    "usedStorage": 8323665436,
}  # fmt: skip


def _summary(**fields: Any) -> ModelSummary:
    summary = summary_from_hub({"id": "someone/something", **fields})
    assert summary is not None
    return summary


def test_every_fact_of_an_ordinary_model_is_read() -> None:
    assert summary_from_hub(QWEN) == ModelSummary(
        repo_id="mlx-community/Qwen3-14B-4bit",
        model_type="text-generation",
        library="mlx",
        architecture="qwen3",
        quantization="4-bit",
        bits=4.0,
        parameters=14_768_307_200,  # as the original counts itself
        weights_bytes=8_307_783_680,  # as the repo's own index counts it
        context_tokens=40_960,
        downloads=46_559,
        likes=12,
        trending=3.0,
        updated_at=1_745_874_847.0,
        license="apache-2.0",
        base_models=("Qwen/Qwen3-14B",),
        tags=tuple(QWEN["tags"]),
        files=("config.json", "model.safetensors"),
        has_chat_template=True,
        needs_code=False,
    )


def test_an_entry_with_nothing_but_a_name_is_a_summary_of_unknowns() -> None:
    assert _summary() == ModelSummary("someone/something")


def test_the_older_name_of_the_id_is_read_too() -> None:
    summary = summary_from_hub({"modelId": "org/name"})
    assert summary is not None and summary.repo_id == "org/name"


@pytest.mark.parametrize(
    "repo_id",
    [None, 3, "", "gpt2", "a/b/c", "../etc", "a/..", "a/b--c", "a/.hidden", "a/b.", "a b/c",
     "a/b\n", "ä/b", "a/" + "b" * 300, ["a/b"], True],
)  # fmt: skip
def test_no_summary_without_a_usable_id(repo_id: Any) -> None:
    assert summary_from_hub({"id": repo_id}) is None


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"license": "mit"}, "mit"),
        ({"license": ["apache-2.0", "mit"]}, "apache-2.0"),
        ({"license": "other", "license_name": "lfm1.0"}, "lfm1.0"),
        ({"license": "other"}, "other"),
        ({"license": {"name": "mit"}}, "gemma"),
        ({}, "gemma"),
    ],
)
def test_the_licence_is_the_cards_else_the_tags(raw: dict[str, Any], expected: str) -> None:
    assert _summary(cardData=raw, tags=["license:gemma"]).license == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"cardData": {"base_model": "a/b"}}, ("a/b",)),
        ({"cardData": {"base_model": ["a/b", "c/d", "a/b"]}}, ("a/b", "c/d")),
        ({"tags": ["base_model:a/b", "base_model:quantized:a/b"]}, ("a/b",)),
        ({"baseModels": {"models": [{"id": "e/f"}]}, "cardData": {"base_model": "a/b"}}, ("e/f",)),
        ({"baseModels": ["a/b"]}, ()),
    ],
)
def test_base_models(fields: dict[str, Any], expected: tuple[str, ...]) -> None:
    assert _summary(**fields).base_models == expected


@pytest.mark.parametrize(
    ("gated", "expected"),
    [(False, False), ("auto", True), ("manual", True), (True, True), (None, False), ("no", False)],
)
def test_gated(gated: Any, expected: bool) -> None:
    assert _summary(gated=gated).is_gated is expected


JINJA = [{"rfilename": "chat_template.jinja"}]
PLAIN = [{"rfilename": "tokenizer_config.json"}]


@pytest.mark.parametrize(
    ("config", "siblings", "expected"),
    [
        ({"tokenizer_config": {"chat_template": "x"}}, None, True),
        (
            {"tokenizer_config": {"chat_template": [{"name": "default", "template": "x"}]}},
            None,
            True,
        ),
        ({"chat_template_jinja": "x"}, PLAIN, True),
        ({}, JINJA, True),
        ({"tokenizer_config": {}}, PLAIN, False),
        ({"tokenizer_config": {"chat_template": 7}}, PLAIN, False),
        ({}, [{"rfilename": "config.json"}], False),
        ({}, PLAIN, None),
        ({"tokenizer_config": {}}, None, None),
        ({}, None, None),
    ],
)
def test_a_chat_template_is_there_or_not_or_unknown(
    config: dict[str, Any], siblings: Any, expected: bool | None
) -> None:
    assert _summary(config=config, siblings=siblings).has_chat_template is expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"config": {"auto_map": {"AutoModel": "m.M"}}}, True),
        ({"config": {"model_file": "model.py"}}, True),
        ({"tags": ["custom_code"]}, True),
        ({"config": {"model_type": "qwen3"}}, False),
        ({}, None),
    ],
)
def test_code_of_its_own(fields: dict[str, Any], expected: bool | None) -> None:
    assert _summary(**fields).needs_code is expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"lastModified": "1970-01-01T00:01:00.000Z"}, 60.0),
        ({"lastModified": "1970-01-01T01:01:00+01:00"}, 60.0),
        ({"lastModified": "1970-01-02"}, 86_400.0),
        ({"lastModified": "yesterday", "createdAt": "1970-01-01T00:00:07Z"}, 7.0),
        ({"lastModified": 1234567890}, None),
        ({"lastModified": "0001-01-01T00:00:00+23:59"}, None),
    ],
)
def test_dates_are_unix_seconds(fields: dict[str, Any], expected: float | None) -> None:
    assert _summary(**fields).updated_at == expected


def test_methods_come_from_tags_and_from_the_name() -> None:
    assert _summary(tags=["mlx", "DWQ"]).methods == ("DWQ",)
    summary = summary_from_hub({"id": "qat/gemma-3-1b-it-QAT-4bit"})
    assert summary is not None and summary.methods == ("QAT",)
    elsewhere = summary_from_hub({"id": "DWQ/gemma", "cardData": {"base_model": "a/b-QAT"}})
    assert elsewhere is not None and elsewhere.methods == ()


def test_the_context_is_the_language_models() -> None:
    config = {"max_position_embeddings": 512, "text_config": {"max_position_embeddings": 131072}}
    assert _summary(config=config).context_tokens == 131_072
    assert _summary(config={"max_position_embeddings": "many"}).context_tokens is None


def test_numbers_of_another_kind_are_as_good_as_missing() -> None:
    for absurd in (True, "12", -3, 1e300, float("nan"), 2**70, [4], 1.5):
        summary = _summary(downloads=absurd, likes=absurd, trendingScore="9")
        assert (summary.downloads, summary.likes, summary.trending) == (0, 0, 0.0)


def test_half_characters_do_not_get_in() -> None:
    summary = _summary(config={"model_type": "qwen\ud800"}, tags=["a\udfff"])
    (summary.architecture + "".join(summary.tags)).encode("utf-8")
