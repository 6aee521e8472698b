"""Tiny models in MLX's format, written byte by byte without mlx, loaded by mlx-lm in milliseconds.

Every ASCII character is one token, the marks follow after the 256 bytes. The output layer knows
printable characters only, so a model says exactly as many characters as it may, and never ends by
itself unless ``ends`` says so.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

MARKS = ("<|end|>", "<|system|>", "<|user|>", "<|assistant|>", "<think>", "</think>")
BYTES = 256
END = BYTES
THINK, THINK_END = BYTES + 4, BYTES + 5
VOCABULARY = BYTES + len(MARKS)
TEMPLATE = (
    "{%- for message in messages -%}{{ '<|' + message.role + '|>' + message.content + '<|end|>' }}"
    "{%- endfor -%}{%- if add_generation_prompt -%}{{ '<|assistant|>' }}{%- endif -%}"
)
TOOLS_TEMPLATE = (
    "{%- for tool in tools or [] -%}{{ '<|system|>' + tool.function.name + '<|end|>' }}"
    "{%- endfor -%}"
    "{%- for message in messages -%}{{ '<|' + message.role + '|>' + message.content }}"
    "{%- for call in message.tool_calls or [] -%}{%- set tool_call = call.function -%}"
    "{{ '<tool_call>' + tool_call.name + (tool_call.arguments | tojson) + '</tool_call>' }}"
    "{%- endfor -%}{{ '<|end|>' }}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|assistant|>' }}{%- endif -%}"
)

Tensors = dict[str, np.ndarray]


def write_safetensors(path: Path, tensors: Tensors) -> None:
    """Write float32 tensors: header length, header, bytes."""
    header: dict[str, Any] = {"__metadata__": {"format": "mlx"}}
    offset = 0
    for name, tensor in tensors.items():
        end = offset + tensor.nbytes
        header[name] = {"dtype": "F32", "shape": tensor.shape, "data_offsets": [offset, end]}
        offset = end
    raw = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(raw).to_bytes(8, "little") + raw)
        for tensor in tensors.values():
            file.write(np.ascontiguousarray(tensor, np.float32).tobytes())


def write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")


def edit_json(path: Path, **changes: Any) -> None:
    """Change some keys of a JSON object on disk."""
    write_json(path, {**json.loads(path.read_text(encoding="utf-8")), **changes})


def write_tokenizer(
    folder: Path, template: str | None = TEMPLATE, pieces: Sequence[str] = ()
) -> None:
    """Write a byte-level tokenizer without merges. ``pieces`` are tokens behind the marks."""
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]  # GPT-2's names of the bytes
    names = {byte: chr(byte) for byte in visible}
    hidden = (byte for byte in range(BYTES) if byte not in names)
    names |= {byte: chr(256 + n) for n, byte in enumerate(hidden)}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
                  "use_regex": False}  # fmt: skip
    added = [
        {"id": BYTES + n, "content": mark, "single_word": False, "lstrip": False, "rstrip": False,
         "normalized": False, "special": mark in MARKS}
        for n, mark in enumerate((*MARKS, *pieces))
    ]  # fmt: skip
    write_json(folder / "tokenizer.json", {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
        "normalizer": None, "pre_tokenizer": byte_level, "post_processor": None,
        "decoder": byte_level,
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "fuse_unk": False,
                  "continuing_subword_prefix": None, "end_of_word_suffix": None,
                  "byte_fallback": False, "ignore_merges": False, "merges": [],
                  "vocab": {names[byte]: byte for byte in range(BYTES)}},
    })  # fmt: skip
    write_json(folder / "tokenizer_config.json", {
        "tokenizer_class": "PreTrainedTokenizerFast", "eos_token": MARKS[0],
        "clean_up_tokenization_spaces": False, "model_max_length": 100_000,
        **({} if template is None else {"chat_template": template}),
    })  # fmt: skip


class _Weights:
    """Random tensors with a fixed seed."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self.tensors: Tensors = {}

    def add(self, name: str, *shape: int) -> np.ndarray:
        drawn = self._random.standard_normal(shape, np.float32) * 2 * shape[-1] ** -0.5
        self.tensors[name] = drawn
        return drawn

    def add_ones(self, name: str, size: int) -> None:
        self.tensors[name] = np.ones(size, np.float32)

    def add_attention(self, prefix: str, hidden: int, kv_size: int, q_size: int = 0) -> None:
        q_size = q_size or hidden
        for part, rows in {"q": q_size, "k": kv_size, "v": kv_size}.items():
            self.add(f"{prefix}.self_attn.{part}_proj.weight", rows, hidden)
        self.add(f"{prefix}.self_attn.o_proj.weight", hidden, q_size)

    def add_output(self, name: str, hidden: int, ends: bool, is_plain: bool = False) -> None:
        rows = self.add(name, VOCABULARY, hidden)
        rows *= 3.0  # clear winners, so that rounding decides nothing
        rows[:32] = rows[127:] = 0
        if is_plain:
            rows[33:97] = rows[123:] = 0
        if ends:
            rows[END] = rows[ord("e")] * 1.5


def write_model(
    folder: Path,
    *,
    layers: int = 2,
    hidden: int = 32,
    heads: int = 4,
    kv_heads: int = 2,
    head_size: int = 0,
    context: int = 4096,
    seed: int = 0,
    ends: bool = False,
    is_plain: bool = False,
    template: str | None = TEMPLATE,
    shards: int = 1,
    **config: Any,
) -> Path:
    """A llama. ``ends`` makes it end where it would often have said “e”.

    ``is_plain`` leaves it small letters and the space: nothing that Markdown would read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_tokenizer(folder, template)
    head_size = head_size or hidden // heads
    write_json(folder / "config.json", {
        "model_type": "llama", "hidden_size": hidden, "intermediate_size": 2 * hidden,
        "num_hidden_layers": layers, "num_attention_heads": heads, "num_key_value_heads": kv_heads,
        "head_dim": head_size,
        "vocab_size": VOCABULARY, "max_position_embeddings": context, "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0, "tie_word_embeddings": False, "eos_token_id": END,
        "torch_dtype": "float32", **config,
    })  # fmt: skip
    weights = _Weights(seed)
    weights.add("model.embed_tokens.weight", VOCABULARY, hidden)
    for layer in range(layers):
        prefix = f"model.layers.{layer}"
        weights.add_attention(prefix, hidden, head_size * kv_heads, head_size * heads)
        weights.add(f"{prefix}.mlp.gate_proj.weight", 2 * hidden, hidden)
        weights.add(f"{prefix}.mlp.up_proj.weight", 2 * hidden, hidden)
        weights.add(f"{prefix}.mlp.down_proj.weight", hidden, 2 * hidden)
        weights.add_ones(f"{prefix}.input_layernorm.weight", hidden)
        weights.add_ones(f"{prefix}.post_attention_layernorm.weight", hidden)
    weights.add_ones("model.norm.weight", hidden)
    weights.add_output("lm_head.weight", hidden, ends, is_plain)
    _write_shards(folder, weights.tensors, shards)
    return folder


def write_script(folder: Path, pieces: Sequence[str], template: str = TEMPLATE) -> Path:
    """A llama that always says these pieces, one token each and no two alike, and then ends.

    Nothing but its table of tokens works: each leads to the next.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_tokenizer(folder, template, pieces)
    vocabulary = VOCABULARY + len(pieces)
    hidden, size = -(-vocabulary // 8) * 8, 8
    write_json(folder / "config.json", {
        "model_type": "llama", "hidden_size": hidden, "intermediate_size": size,
        "num_hidden_layers": 1, "num_attention_heads": 4, "num_key_value_heads": 4,
        "vocab_size": vocabulary, "max_position_embeddings": 4096, "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0, "tie_word_embeddings": False, "eos_token_id": END,
        "torch_dtype": "float32",
    })  # fmt: skip
    chain = [BYTES + MARKS.index("<|assistant|>"), *range(VOCABULARY, vocabulary), END]
    leads = np.zeros((vocabulary, hidden), np.float32)
    for token, following in zip(chain, chain[1:], strict=False):
        leads[following, token] = 10.0
    layer = "model.layers.0"
    tensors: Tensors = {
        "model.embed_tokens.weight": np.eye(vocabulary, hidden, dtype=np.float32),
        "model.norm.weight": np.ones(hidden, np.float32),
        "lm_head.weight": leads,
        **{f"{layer}.{norm}.weight": np.ones(hidden, np.float32)
           for norm in ("input_layernorm", "post_attention_layernorm")},
        **{f"{layer}.self_attn.{part}_proj.weight": np.zeros((hidden, hidden), np.float32)
           for part in "qkvo"},
        **{f"{layer}.mlp.{part}_proj.weight": np.zeros((size, hidden), np.float32)
           for part in ("gate", "up")},
        f"{layer}.mlp.down_proj.weight": np.zeros((hidden, size), np.float32),
    }  # fmt: skip
    write_safetensors(folder / "model.safetensors", tensors)
    return folder


def _write_shards(folder: Path, tensors: Tensors, shards: int) -> None:
    if shards == 1:
        write_safetensors(folder / "model.safetensors", tensors)
        return
    weight_map = {}
    for n in range(shards):
        name = f"model-{n + 1:05}-of-{shards:05}.safetensors"
        part = dict(list(tensors.items())[n::shards])
        write_safetensors(folder / name, part)
        weight_map |= dict.fromkeys(part, name)
    write_json(folder / "model.safetensors.index.json", {"weight_map": weight_map})


def write_chunked_model(folder: Path, *, hidden: int = 32, chunk: int = 64) -> Path:
    """A llama4, whose cache is kept in chunks that no batch can hold."""
    folder.mkdir(parents=True, exist_ok=True)
    write_tokenizer(folder)
    text = {
        "model_type": "llama4_text", "attention_bias": False, "attention_chunk_size": chunk,
        "head_dim": hidden // 4, "hidden_size": hidden, "interleave_moe_layer_step": 100,
        "intermediate_size": hidden, "intermediate_size_mlp": 2 * hidden,
        "max_position_embeddings": 2048, "num_attention_heads": 4, "num_experts_per_tok": 1,
        "num_hidden_layers": 4, "num_key_value_heads": 2, "num_local_experts": 1,
        "rms_norm_eps": 1e-5, "rope_scaling": None, "rope_theta": 10000.0, "use_qk_norm": False,
        "vocab_size": VOCABULARY,
    }  # fmt: skip
    write_json(folder / "config.json", {
        "model_type": "llama4", "text_config": text, "eos_token_id": END,
    })  # fmt: skip
    weights = _Weights(seed=3)
    root = "language_model.model"
    weights.add(f"{root}.embed_tokens.weight", VOCABULARY, hidden)
    for layer in range(4):
        prefix = f"{root}.layers.{layer}"
        weights.add_attention(prefix, hidden, hidden // 2)
        weights.add(f"{prefix}.feed_forward.gate_proj.weight", 2 * hidden, hidden)
        weights.add(f"{prefix}.feed_forward.up_proj.weight", 2 * hidden, hidden)
        weights.add(f"{prefix}.feed_forward.down_proj.weight", hidden, 2 * hidden)
        weights.add_ones(f"{prefix}.input_layernorm.weight", hidden)
        weights.add_ones(f"{prefix}.post_attention_layernorm.weight", hidden)
    weights.add_ones(f"{root}.norm.weight", hidden)
    weights.add_output("language_model.lm_head.weight", hidden, ends=False)
    write_safetensors(folder / "model.safetensors", weights.tensors)
    return folder


def write_recurrent_model(folder: Path, *, hidden: int = 32) -> Path:
    """A mamba, whose cache can join a batch but cannot be cut back to an earlier token."""
    folder.mkdir(parents=True, exist_ok=True)
    write_tokenizer(folder)
    inner, state, kernel, rank = 2 * hidden, 4, 4, 2
    write_json(folder / "config.json", {
        "model_type": "mamba", "vocab_size": VOCABULARY, "hidden_size": hidden,
        "intermediate_size": inner, "state_size": state, "num_hidden_layers": 2,
        "conv_kernel": kernel, "use_bias": False, "use_conv_bias": True, "time_step_rank": rank,
        "tie_word_embeddings": False, "max_position_embeddings": 2048, "eos_token_id": END,
    })  # fmt: skip
    weights = _Weights(seed=4)
    weights.add("backbone.embeddings.weight", VOCABULARY, hidden)
    for layer in range(2):
        prefix = f"backbone.layers.{layer}"
        weights.add_ones(f"{prefix}.norm.weight", hidden)
        weights.add(f"{prefix}.mixer.in_proj.weight", 2 * inner, hidden)
        weights.add(f"{prefix}.mixer.conv1d.weight", inner, kernel, 1)
        weights.add(f"{prefix}.mixer.conv1d.bias", inner)
        weights.add(f"{prefix}.mixer.x_proj.weight", rank + 2 * state, inner)
        weights.add(f"{prefix}.mixer.dt_proj.weight", inner, rank)
        weights.add(f"{prefix}.mixer.dt_proj.bias", inner)
        weights.add(f"{prefix}.mixer.A_log", inner, state)
        weights.add_ones(f"{prefix}.mixer.D", inner)
        weights.add(f"{prefix}.mixer.out_proj.weight", hidden, inner)
    weights.add_ones("backbone.norm_f.weight", hidden)
    weights.add_output("lm_head.weight", hidden, ends=False)
    write_safetensors(folder / "model.safetensors", weights.tensors)
    return folder
