"""How much memory a model takes: pure functions of its config and its exact bytes.

total = weights + KV cache at a context + working memory of prefill. It does not grow with the
length of an answer beyond the context. What it does not know: fragmentation, what the tokenizer
takes (tens of megabytes), and prefixes kept from earlier conversations.
"""

from dataclasses import replace

from engine.library.config_values import MAX_NUMBER as MAX_NUMBER
from engine.library.config_values import Config, element_bytes, part
from engine.library.config_values import number as number
from engine.library.config_values import text_config as text_config
from engine.library.float32 import float32_weights
from engine.library.kv_cache import GROUP_SIZE, kv_cache_size
from engine.library.layer_sizes import HEADS, HIDDEN, head_size
from engine.library.layers import layer_caches
from engine.records import KVCacheSize, MemoryEstimate
from engine.settings import PREFILL_STEP_TOKENS as PREFILL_STEP_TOKENS_BY_BACKEND

USUAL_CONTEXT_TOKENS = 8_192
PREFILL_STEP_TOKENS = 1_024

# What sampling, the tokenizer's tables on the device and small buffers take.
_FIXED_WORKING_BYTES = 50_000_000
# MLX queues operations ahead of the GPU, and a buffer is free again when its last user has run.
# Qwen3-4B at a prefill step of 2,048 tokens held 0.68 to 0.79 GB beside weights and KV cache
# (mlx-lm's BENCHMARKS.md): as much as four layers. On a CPU, which runs in order, it is one.
_LAYERS_IN_FLIGHT = 4
# Metal's fused attention knows these head sizes in prefill (ml-explore/mlx issues 3658 and 3885).
# For others, and wherever a mask of its own is added, scores and their softmax are written out.
_FUSED_HEAD_SIZES = (64, 80, 128)
_SCORE_COPIES = 2
_FLOAT32_BYTES = 4
_KV_BITS = (16, 8, 4)

_CONTEXT_NAMES = (
    "max_position_embeddings", "n_positions", "max_seq_len", "max_sequence_length", "seq_length",
    "n_ctx", "model_max_length", "max_context_length",
)  # fmt: skip
_TOP_EXPERTS = ("num_experts_per_tok", "num_experts_per_token", "experts_per_token", "moe_topk",
                "top_k_experts", "moe_top_k")  # fmt: skip


def context_tokens(config: Config) -> int:
    """The longest context that the config promises; 0 when it says nothing.

    A config that only says how it stretches the positions (``rope_scaling``, YaRN, arXiv
    2309.00071) promises the original length times the factor.
    """
    for text in (text_config(config), config):
        if longest := number(text, *_CONTEXT_NAMES):
            return longest
    for text in (text_config(config), config):
        for name in ("rope_scaling", "rope_parameters"):
            scaling = part(text, name)
            factor = scaling.get("factor")
            if original := number(scaling, "original_max_position_embeddings"):
                is_sane = isinstance(factor, int | float) and 1 <= factor <= 1024
                return int(original * factor) if is_sane and factor else original
    return 0


def kv_bytes_per_token(config: Config, element_bytes: int | None = None) -> int | None:
    """Bytes that one token more adds once all windows are full; None when the config is silent.

    ``element_bytes`` is the size of an activation, by default as the config names it.
    """
    size = kv_cache_size(config, value_bytes=element_bytes)
    return size.bytes_per_token if size else None


def working_bytes(
    config: Config,
    *,
    step_tokens: int = PREFILL_STEP_TOKENS,
    context: int = USUAL_CONTEXT_TOKENS,
    cache: KVCacheSize | None = None,
    value_bytes: int | None = None,
    on_cpu: bool = False,
) -> int | None:
    """Memory of one prefill step, the last one before ``context``; None without a hidden size.

    The activations of the layers in flight, attention scores where they are written out, and what
    windows hold too much until the step is over. Only the last position's logits are computed
    (``generate_step`` evaluates the caches alone), so the vocabulary counts once, in float32, for
    logits, probabilities and their sorted copies. ``cache`` is the unpacked KV cache's size, for
    who has worked it out already; ``value_bytes`` as in ``kv_cache_size``. On a CPU steps are
    shorter, and no attention is fused.
    """
    text = text_config(config)
    hidden = number(text, *HIDDEN)
    if not hidden:
        return None
    size = element_bytes(config) if value_bytes is None else value_bytes
    step = min(step_tokens, context, PREFILL_STEP_TOKENS_BY_BACKEND["cpu"] if on_cpu else context)
    activations = _LAYERS_IN_FLIGHT * step * _layer_width(text, hidden) * size
    scores = _attention_values(text, step, context, on_cpu) * size
    logits = 4 * 4 * number(text, "vocab_size", default=number(config, "vocab_size"))
    cache = cache or kv_cache_size(config, value_bytes=value_bytes)
    overhang = sum(
        min(step, max(0, context - window)) * per_token
        for window, per_token in (cache.windows if cache else ())
    )
    return _FIXED_WORKING_BYTES + activations + scores + overhang + logits


def _layer_width(text: Config, hidden: int) -> int:
    """Values per token in one layer: a feed-forward's three rows, and six of the hidden size.

    Those six are the residual, its norm, queries, keys, values and the attention's output. A layer
    of experts has its three rows per chosen expert, and a copy of the token for each.
    """
    dense = 3 * number(text, "intermediate_size", "n_inner", "ffn_hidden_size", default=4 * hidden)
    chosen = number(text, *_TOP_EXPERTS) if _has_experts(text) else 0
    one = number(text, "moe_intermediate_size", "expert_ffn_hidden_size", "intermediate_size")
    shared = number(text, "shared_expert_intermediate_size", "shared_intermediate_size")
    experts = 3 * (chosen * one + shared) + chosen * hidden
    has_own_size = number(text, "moe_intermediate_size") and not number(
        text, "first_k_dense_replace", "num_dense_layers")  # fmt: skip
    wide = experts if chosen and has_own_size else max(dense, experts if chosen else 0)
    return wide + 6 * hidden


def _has_experts(text: Config) -> bool:
    return bool(number(text, "num_experts", "num_local_experts", "n_routed_experts"))


def _attention_values(text: Config, step: int, context: int, on_cpu: bool) -> int:
    """Values written out by attention that is not fused: heads x step x context, twice.

    Multi-head latent attention always adds its rotary scores as a mask, and expands the compressed
    rows of the whole context to keys and values (mlx_lm/models/deepseek_v3.py).
    """
    heads = number(text, *HEADS)
    scores = _SCORE_COPIES * heads * step * context
    if number(text, "kv_lora_rank"):
        expanded = number(text, "qk_nope_head_dim") + number(text, "v_head_dim")
        return scores + heads * context * expanded
    is_fused = head_size(text) in _FUSED_HEAD_SIZES and not text.get("attn_logit_softcapping")
    return 0 if is_fused and not on_cpu else scores


def estimate_memory(
    config: Config,
    weights_bytes: int,
    budget_bytes: int | None,
    context: int = USUAL_CONTEXT_TOKENS,
    *,
    kv_bits: int = 16,
    step_tokens: int = PREFILL_STEP_TOKENS,
    on_cpu: bool = False,
) -> MemoryEstimate:
    """The estimate at ``context`` tokens, or at the model's own context where that is smaller.

    ``on_cpu`` counts what Pomona makes float32 there, where that is within the budget.
    """
    narrow = _estimate(config, weights_bytes, context, kv_bits, step_tokens, None, on_cpu)
    if not on_cpu:
        return replace(narrow, budget_bytes=budget_bytes)
    wide_bytes, unpacked_bytes = float32_weights(config, weights_bytes)
    wide = _estimate(config, wide_bytes, context, kv_bits, step_tokens, _FLOAT32_BYTES, on_cpu)
    if wide_bytes != weights_bytes:
        more_bytes = wide_bytes - weights_bytes + unpacked_bytes
        wide = replace(wide, narrow=replace(narrow, unpacked_bytes=more_bytes))
    return replace(wide, unpacked_bytes=unpacked_bytes).within(budget_bytes)


def kv_choices(config: Config, *, on_cpu: bool = False) -> dict[int, int]:
    """The cache of a sequence as long as the context, in bytes, by ``kv_bits``, the usual 16 first.

    Only what can be had: heads have to be whole groups wide, and some layer has to keep keys and
    values of every token. Whether the attention of an architecture can read them packed only
    running it shows (``engine.inference.backend``).
    """
    tokens = context_tokens(config) or USUAL_CONTEXT_TOKENS
    value_bytes = _FLOAT32_BYTES if on_cpu else None
    can_pack = head_size(text_config(config)) % GROUP_SIZE == 0 and any(
        layer.is_packable and not layer.window_tokens for layer in layer_caches(config) or ()
    )
    sizes = {
        bits: kv_cache_size(config, kv_bits=bits, value_bytes=value_bytes)
        for bits in (_KV_BITS if can_pack else _KV_BITS[:1])
    }
    return {bits: size.bytes_at(tokens) for bits, size in sizes.items() if size}


def _estimate(
    config: Config,
    weights_bytes: int,
    context: int,
    kv_bits: int,
    step_tokens: int,
    value_bytes: int | None,
    on_cpu: bool,
) -> MemoryEstimate:
    longest = context_tokens(config)
    tokens = min(context, longest) if longest else context
    cache = kv_cache_size(config, kv_bits=kv_bits, value_bytes=value_bytes)
    unpacked = cache if kv_bits >= 16 else None
    return MemoryEstimate(
        weights_bytes=weights_bytes,
        kv_cache=cache,
        context_tokens=tokens,
        working_bytes=working_bytes(
            config,
            step_tokens=step_tokens,
            context=tokens,
            cache=unpacked,
            value_bytes=value_bytes,
            on_cpu=on_cpu,
        ),  # fmt: skip
        budget_bytes=None,
    )
