"""Writes the trained network as an 8-bit MLX model folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from network import Llama
from safetensors.numpy import save_file
from tokenizers import Tokenizer

GROUP = 64
SPECIALS = ("<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>")
# Questions are shown to the model in lower case and cut to a length it was trained on.
TEMPLATE = """
{%- for message in messages -%}
{%- if message['content'] is string -%}
{%- set text = message['content'] -%}
{%- else -%}
{%- set text = message['content'] | map(attribute='text', default='') | join(' ') -%}
{%- endif -%}
{%- if message['role'] == 'assistant' -%}
{{- '<|assistant|>' + text | trim + '<|end|>' -}}
{%- elif message['role'] == 'system' -%}
{{- '<|system|> ' + (text.split() | join(' '))[:300] + '<|end|>' -}}
{%- else -%}
{{- '<|user|> ' + (text.replace('\u2019', "'") | lower).split()
    | join(' ') | truncate(400, true, '', 0) + '<|end|>' -}}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}
"""


def quantise(weight: np.ndarray) -> dict[str, np.ndarray]:
    """Store a matrix with 8 bits for each number and a scale and bias for each group."""
    rows, columns = weight.shape
    groups = weight.reshape(rows, columns // GROUP, GROUP)
    low, high = groups.min(-1, keepdims=True), groups.max(-1, keepdims=True)
    scale = np.maximum((high - low) / 255, 1e-8)
    levels = np.clip(np.rint((groups - low) / scale), 0, 255).astype(np.uint8)
    return {
        "weight": np.ascontiguousarray(levels.reshape(rows, columns)).view("<u4"),
        "scales": scale[..., 0].astype(np.float32),
        "biases": low[..., 0].astype(np.float32),
    }


def part_name(name: str) -> str:
    """Return the name of a tensor in the finished model, without the ending "weight"."""
    whole = name if name.startswith("lm_head") else "model." + name
    return whole.removesuffix("weight")


def tensors(model: Llama) -> dict[str, np.ndarray]:
    """Return all tensors of the finished model by name."""
    found: dict[str, np.ndarray] = {}
    for name, weight in model.state_dict().items():
        values = weight.float().numpy()
        if values.ndim == 1:
            found[part_name(name) + "weight"] = values
            continue
        for part, array in quantise(values).items():
            found[part_name(name) + part] = array
    return found


def config(model: Llama) -> dict[str, object]:
    """Return the model's config.json."""
    shape = model.shape
    bits = {"group_size": GROUP, "bits": 8, "mode": "affine"}
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": shape.width,
        "intermediate_size": shape.hidden,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_width,
        "vocab_size": shape.vocab,
        "max_position_embeddings": 2048,
        "rms_norm_eps": shape.eps,
        "rope_theta": shape.theta,
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
        "bos_token_id": None,
        "eos_token_id": SPECIALS.index("<|end|>"),
        "pad_token_id": SPECIALS.index("<|pad|>"),
        "quantization": bits,
        "quantization_config": bits,
    }


def write_json(path: Path, value: object) -> None:
    """Write a JSON file."""
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_model(model: Llama, tokenizer: Tokenizer, folder: Path) -> None:
    """Write the model folder."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors(model), folder / "model.safetensors", metadata={"format": "mlx"})
    (folder / "model.safetensors").chmod(0o644)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    write_json(folder / "config.json", config(model))
    ids = {name: SPECIALS.index(f"<|{key}|>") for name, key in (("eos", "end"), ("pad", "pad"))}
    write_json(
        folder / "generation_config.json",
        {
            "do_sample": False,
            "temperature": 0.0,
            "eos_token_id": ids["eos"],
            "pad_token_id": ids["pad"],
        },
    )
    write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": None,
            "eos_token": "<|end|>",
            "pad_token": "<|pad|>",
            "clean_up_tokenization_spaces": False,
            "model_max_length": 2048,
            "chat_template": TEMPLATE.strip(),
        },
    )
