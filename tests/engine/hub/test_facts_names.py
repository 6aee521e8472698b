"""Names mislead: what is read from one, and what is not."""

import pytest

from engine.hub.facts import summary_from_hub
from engine.hub.names import facts_from_name


@pytest.mark.parametrize(
    ("name", "billions"),
    [
        ("Qwen3-30B-A3B-4bit", 30),
        ("Qwen3-Coder-480B-A35B-Instruct-4bit", 480),
        ("Mixtral-8x7B-Instruct-v0.1", 56),
        ("mixtral-8x22b-instruct", 176),
        ("Llama-3.2-3B-Instruct-4bit", 3),
        ("Llama_3_8B", 8),
        ("stablelm-2-zephyr-1_6b", 1.6),
        ("Qwen3-1.7B-8bit", 1.7),
        ("Qwen3-0.6B-4bit", 0.6),
        ("gemma-3-270m-it-4bit", 0.27),
        ("gemma-2b", 2),
        ("Qwen2.5-7B-Instruct-1M-4bit", 7),
        ("granite-3.1-1b-a400m-instruct", 1),
        ("DeepSeek-R1-Distill-Qwen-32B-4bit", 32),
        ("Kimi-K2-1T-A32B", 1000),
        ("Qwen3.5-9B-MLX-4bit", 9),
        ("gpt-oss-20b-MXFP4-Q8", 20),
    ],
)
def test_a_size_in_a_name(name: str, billions: float) -> None:
    assert facts_from_name(f"org/{name}").parameters == round(billions * 1e9)


@pytest.mark.parametrize(
    "name",
    [
        "phi-4-4bit", "gemma-3n-E4B-it-4bit", "supergemma4-mlx", "Qwen1.5-MoE-A2.7B",
        "MiniMax-M2.5", "GLM-4.5-Air-4bit", "my-lora-for-Llama-3-7B", "Llama-7B-adapter",
        "Qwen3.6-27B-MTP-4bit", "gemma-4-12B-it-assistant-bf16", "merge-of-7B-and-13B",
        "Qwen-3.5bpw", "llama-4bit", "Devstral-Small-2507", "model-0B", "x-999999999999B",
    ],
)  # fmt: skip
def test_a_name_without_a_size_of_its_own(name: str) -> None:
    assert facts_from_name(f"org-70B/{name}").parameters is None


@pytest.mark.parametrize(
    ("name", "label", "bits"),
    [
        ("Qwen3-8B-4bit", "4-bit", 4),
        ("Nemotron-3-Nano-30B-A3B-MLX-8Bit", "8-bit", 8),
        ("NVIDIA-Nemotron-Nano-9B-v2-4bits", "4-bit", 4),
        ("Qwen3-30B-6bit-DWQ", "6-bit", 6),
        ("gemma-3-1b-it-QAT-4bit", "4-bit", 4),
        ("gpt-oss-20b-MXFP4-Q8", "mxfp4", 4),
        ("MiniMax-M2.7-4bit-mxfp4", "mxfp4", 4),
        ("GLM-5-8bit-MXFP8", "mxfp8", 8),
        ("Nemotron-NVFP4", "nvfp4", 4),
        ("Qwen3-8B-bf16", "bf16", 16),
        ("llama-3.3-70b-instruct-fp16", "fp16", 16),
        ("from-bf16-to-3bit", "3-bit", 3),
        ("shanksjay-mlx-q4", "4-bit", 4),
        ("Bonsai-8B-mlx-1bit", "unknown", 1),
        ("GLM-5.1-MLX-4.8bit-INF", "unknown", 4.8),
        ("Kimi-K2.6-mlx-DQ3_K_M-q8", "unknown", None),
        ("Qwen3-8B-Q4_K_M", "unknown", None),
        ("phi-4", "unknown", None),
        ("my-lora-for-Llama-3-8B-4bit", "unknown", None),
        ("a-99bit", "unknown", None),
    ],
)
def test_a_quantisation_in_a_name(name: str, label: str, bits: float | None) -> None:
    found = facts_from_name(f"org-8bit/{name}")
    assert (found.quantization, found.bits) == (label, bits)


def test_what_a_name_tells_is_marked_as_guessed() -> None:
    summary = summary_from_hub({"id": "mlx-community/Qwen3-8B-4bit"})
    assert summary is not None
    assert (summary.parameters, summary.quantization, summary.bits) == (8_000_000_000, "4-bit", 4.0)
    assert set(summary.guessed) == {"parameters", "quantization", "bits"}
    assert summary.weights_bytes is None


def test_what_the_hub_tells_goes_before_the_name() -> None:
    summary = summary_from_hub({
        "id": "org/Qwen3-70B-8bit",
        "config": {"quantization": {"bits": 4, "group_size": 64}},
        "safetensors": {"parameters": {"BF16": 461921280, "U32": 1845985280}},
    })  # fmt: skip
    assert summary is not None and summary.guessed == ()
    assert (summary.parameters, summary.quantization) == (14_768_307_200, "4-bit")


def test_neither_the_org_nor_the_base_model_lends_its_quantisation() -> None:
    summary = summary_from_hub(
        {"id": "4bit-7B/tale-teller", "cardData": {"base_model": "mlx-community/Llama-3-8B-4bit"}}
    )
    assert summary is not None and summary.guessed == ()
    assert (summary.parameters, summary.quantization, summary.bits) == (None, "unknown", None)
