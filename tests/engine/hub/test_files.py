"""Which files of a repo are fetched: all that is needed, nothing that runs, nothing twice."""

import json

import pytest

from engine.hub.files import (
    download_bytes,
    has_weights,
    indexed_weights,
    missing_weights,
    wanted_files,
)
from engine.records import RepoFile

INDEX = "model.safetensors.index.json"
SHARDS = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]


def _names(paths: list[str], indexed: frozenset[str] | None = None) -> set[str]:
    return {file.path for file in wanted_files([RepoFile(path, 1) for path in paths], indexed)}


@pytest.mark.parametrize(
    "path",
    [
        "config.json", "generation_config.json", "tokenizer.json", "tokenizer.model",
        "sentencepiece.bpe.model", "qwen.tiktoken", "vocab.txt", "merges.txt", "vocab.json",
        "tokenizer.jsonl", "chat_template.jinja", "additional_chat_templates/tool_use.jinja",
        "chat_template.json", "preprocessor_config.json", "model.safetensors", INDEX,
        "README.md", "README", "LICENSE", "LICENCE.txt", "license.md", "NOTICE", "USE_POLICY.md",
        "LLAMA_LICENSE.txt",
    ],
)  # fmt: skip
def test_what_mlx_lm_needs_and_a_person_wants_is_fetched(path: str) -> None:
    assert _names([path]) == {path}


@pytest.mark.parametrize(
    "path",
    [
        "modeling.py", "tokenizer.PY", "run.pyc", "setup.sh", "demo.ipynb", "weights.pkl",
        "pytorch_model.bin", "model.pt", "model.pth", "model.ckpt", "model.gguf", "model.onnx",
        "model.h5", "model.npz", "model.msgpack", "lib.so", "all.zip", "README.png",
        "consolidated.safetensors", "weights.safetensors", "adapter_model.safetensors",
        "original/model.safetensors", "original/params.json", "onnx/model.json",
        "pytorch_model.bin.index.json", "consolidated.safetensors.index.json",
        "images/logo.png", ".gitattributes", "additional_chat_templates/deep/er.jinja",
        "additional_chat_templates/evil.py", "x" * 300 + ".json", "é" * 126 + ".json",
    ],
)  # fmt: skip
def test_code_pickles_other_formats_and_folders_are_not(path: str) -> None:
    assert _names([path]) == set()


def test_the_index_says_which_weights_belong_together() -> None:
    paths = ["config.json", INDEX, *SHARDS, "model.safetensors", "model-extra.safetensors"]
    assert _names(paths, frozenset(SHARDS)) == {"config.json", INDEX, *SHARDS}


def test_without_an_index_all_weights_that_mlx_lm_loads_are_fetched() -> None:
    assert _names([*SHARDS, "model_extra.safetensors"]) == {*SHARDS, "model_extra.safetensors"}


def test_a_second_precision_of_the_same_weights_is_left_out() -> None:
    assert _names(["model.safetensors", "model.fp16.safetensors"]) == {"model.safetensors"}
    variants = ["model.fp16-00001-of-00002.safetensors", "model.fp16-00002-of-00002.safetensors"]
    assert _names([*SHARDS, *variants]) == set(SHARDS)
    assert _names(variants) == set(variants)


def test_an_index_of_other_weights_is_left_out_and_the_weights_are_not() -> None:
    paths = ["config.json", INDEX, "model.safetensors"]
    assert _names(paths, frozenset(SHARDS)) == {"config.json", "model.safetensors"}
    assert missing_weights([RepoFile(path, 1) for path in paths], frozenset(SHARDS)) == ()


def test_weights_that_the_index_names_and_the_repo_lacks_are_named() -> None:
    files = [RepoFile(SHARDS[0], 1)]
    assert missing_weights(files, frozenset(SHARDS)) == (SHARDS[1],)
    assert missing_weights(files, frozenset(SHARDS[:1])) == missing_weights(files, None) == ()


def test_of_names_that_differ_in_case_alone_one_is_fetched() -> None:
    assert _names(["Config.json", "config.json", "README.md", "readme.md"]) == {
        "config.json", "readme.md",
    }  # fmt: skip


def test_an_index_is_read_with_care() -> None:
    text = json.dumps({"metadata": {}, "weight_map": {"a": SHARDS[0], "b": SHARDS[1], "c": 1}})
    assert indexed_weights(text) == frozenset(SHARDS)
    for garbage in ("", "[", "[]", "{}", '{"weight_map": []}', '{"weight_map": {}}', "[" * 10**5):
        assert indexed_weights(garbage) is None


def test_an_index_cannot_name_files_that_mlx_lm_would_not_load() -> None:
    indexed = frozenset(["../evil.safetensors", "run.py", "model.safetensors"])
    files = ["../evil.safetensors", "run.py", "model.safetensors"]
    assert _names(files, indexed) == {"model.safetensors"}


def test_weights_are_model_safetensors_at_the_top() -> None:
    assert has_weights([RepoFile("model-1.safetensors", 1)])
    assert not has_weights([RepoFile("a/model.safetensors", 1), RepoFile("w.safetensors", 1)])


def test_the_bytes_of_a_download_are_those_of_its_files() -> None:
    files = [RepoFile("model.safetensors", 5), RepoFile("config.json", 3), RepoFile("x.py", 7)]
    assert download_bytes(files) == 8
