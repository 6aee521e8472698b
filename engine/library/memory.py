"""How much memory a model takes: pure functions of its config and its exact bytes.

total = weights + KV cache at a context + working memory of prefill. What it does not know:
fragmentation, and what the tokenizer takes (tens of megabytes).
"""

from collections.abc import Mapping
from typing import Any

from engine.records import MemoryEstimate

USUAL_CONTEXT_TOKENS = 8_192
MAX_NUMBER = 2**40
_FIXED_WORKING_BYTES = 50_000_000
_PREFILL_STEP_TOKENS = 512


def text_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of a config that describes the language model."""
    nested = config.get("text_config")
    return nested if isinstance(nested, dict) else config


def number(config: Mapping[str, Any], *names: str, default: int = 0) -> int:
    """The first of ``names`` that is a positive whole number, and not an absurd one."""
    for name in names:
        value = config.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MAX_NUMBER:
            return value
    return default


def context_tokens(config: Mapping[str, Any]) -> int:
    """The longest context that the config promises; 0 when it says nothing."""
    return number(text_config(config), "max_position_embeddings", "n_positions", "max_seq_len",
                  "seq_length", "n_ctx")  # fmt: skip


def kv_bytes_per_token(config: Mapping[str, Any], element_bytes: int = 2) -> int:
    """Bytes that every token of context adds: keys and values of every layer.

    layers x 2 x KV heads x head size x element size. Grouped-query attention has fewer KV heads
    than heads; multi-head latent attention keeps one compressed row of ``kv_lora_rank`` and the
    rotary part instead (DeepSeek-V2, arXiv 2405.04434, section 2.1).
    """
    text = text_config(config)
    layers = number(text, "num_hidden_layers", "n_layer", "n_layers")
    if rank := number(text, "kv_lora_rank"):
        return layers * (rank + number(text, "qk_rope_head_dim")) * element_bytes
    heads = number(text, "num_attention_heads", "n_head", "n_heads")
    kv_heads = number(text, "num_key_value_heads", "n_head_kv", default=heads)
    hidden = number(text, "hidden_size", "n_embd", "d_model")
    head_size = number(text, "head_dim", default=hidden // heads if heads else 0)
    return layers * 2 * kv_heads * head_size * element_bytes


def working_bytes(config: Mapping[str, Any], element_bytes: int = 2) -> int:
    """Memory of one prefill step: activations of the widest layer, and the logits.

    Only the last position's logits are kept, so the vocabulary counts once per step in float32.
    """
    text = text_config(config)
    hidden = number(text, "hidden_size", "n_embd", "d_model")
    inner = number(text, "intermediate_size", "n_inner", default=4 * hidden)
    vocab = number(text, "vocab_size")
    activations = _PREFILL_STEP_TOKENS * (3 * inner + 6 * hidden) * element_bytes
    return _FIXED_WORKING_BYTES + activations + 4 * 4 * vocab


def estimate_memory(
    config: Mapping[str, Any],
    weights_bytes: int,
    budget_bytes: int | None,
    context: int = USUAL_CONTEXT_TOKENS,
) -> MemoryEstimate:
    """The estimate at ``context`` tokens, or at the model's own context where that is smaller."""
    longest = context_tokens(config)
    return MemoryEstimate(
        weights_bytes=weights_bytes,
        kv_bytes_per_token=kv_bytes_per_token(config),
        context_tokens=min(context, longest) if longest else context,
        working_bytes=working_bytes(config),
        budget_bytes=budget_bytes,
    )
