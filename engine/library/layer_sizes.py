"""How much one layer keeps: keys and values per token, or a state of a fixed size.

Formulas from a config to numbers of values, each with the paper that it comes from, checked against
what mlx_lm/models/*.py of mlx-lm 0.32 puts into its caches. 0 means that the config does not say.
"""

from collections.abc import Callable

from engine.library.config_values import Config, number, part
from engine.library.layer_kinds import Kind

LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "num_transformer_layers")
HEADS = ("num_attention_heads", "n_head", "n_heads", "num_heads")
KV_HEADS = ("num_key_value_heads", "n_head_kv", "num_kv_heads", "num_attention_groups")
HIDDEN = ("hidden_size", "n_embd", "d_model", "hidden_dim", "model_dim")

Width = Callable[[Config, Kind], int]
State = Callable[[Config], tuple[int, int]]


def head_size(text: Config) -> int:
    """Values of one head: named, or the hidden size shared out among the heads."""
    heads = number(text, *HEADS)
    return number(text, "head_dim", default=number(text, *HIDDEN) // heads if heads else 0)


def grouped_width(text: Config, kind: Kind) -> int:
    """Keys and values: 2 x KV heads x head size (grouped-query attention, arXiv 2305.13245).

    Without a number of KV heads every head has its own; ``multi_query`` has one for all. A config
    with a ``kv_lora_rank`` is taken for multi-head latent attention.
    """
    if text.get("kv_lora_rank"):
        return latent_width(text, kind)
    one = number(text, "n_head") if text.get("multi_query") is True else 0
    attention = {**part(text, "attn_config"), **text}
    heads = number(attention, *KV_HEADS, "kv_n_heads", default=number(text, *HEADS))
    return 2 * (1 if one else heads) * head_size(text)


def latent_width(text: Config, kind: Kind) -> int:
    """A compressed row and the rotary part (DeepSeek-V2, arXiv 2405.04434, section 2.1)."""
    rank = number(text, "kv_lora_rank")
    return rank + number(text, "qk_rope_head_dim") if rank else 0


def indexed_width(text: Config, kind: Kind) -> int:
    """DeepSeek-V3.2: the indexer's keys too, in a second cache whose values are as wide."""
    return latent_width(text, kind) + 2 * number(text, "index_head_dim", default=128)


def expanded_width(text: Config, kind: Kind) -> int:
    """Latent attention whose keys and values mlx-lm expands before it keeps them."""
    heads = number(text, *HEADS)
    values = number(text, "v_head_dim", default=number(text, *HIDDEN) // heads if heads else 0)
    return heads * (number(text, "qk_nope_head_dim") + number(text, "qk_rope_head_dim") + values)


def gemma4_width(text: Config, kind: Kind) -> int:
    """Full layers have heads of another size, and may have another number of them."""
    if kind != "full":
        return grouped_width(text, kind)
    heads = number(text, "num_key_value_heads")
    if text.get("attention_k_eq_v") is True:
        heads = number(text, "num_global_key_value_heads", default=heads)
    return 2 * heads * number(text, "global_head_dim", "head_dim")


def mimo_width(text: Config, kind: Kind) -> int:
    """MiMo's windowed layers have heads of their own number and size."""
    prefix = "swa_" if kind == "window" else ""
    size = number(text, f"{prefix}head_dim") + number(text, f"{prefix}v_head_dim")
    return number(text, f"{prefix}num_key_value_heads") * size


def step_width(text: Config, kind: Kind) -> int:
    """Step's windowed layers have their own number of KV heads."""
    setting = part(text, "attention_other_setting") if kind == "window" else {}
    return grouped_width({**text, **setting}, kind)


def no_state(text: Config) -> tuple[int, int]:
    """Attention alone."""
    return 0, 0


def delta_net_state(text: Config) -> tuple[int, int]:
    """Gated delta rule (arXiv 2412.06464): a convolution's tail and heads x values x keys."""
    heads, keys = (number(text, f"linear_num_{n}_heads") for n in ("value", "key"))
    value, key = (number(text, f"linear_{n}_head_dim") for n in ("value", "key"))
    tail = number(text, "linear_conv_kernel_dim", default=4) - 1
    return tail * (2 * keys * key + heads * value), heads * value * key


def kimi_delta_state(text: Config) -> tuple[int, int]:
    """Kimi delta attention (arXiv 2510.26692): three convolutions and a square per head."""
    linear = {**text, **part(text, "linear_attn_config")}
    heads = number(linear, "num_heads", "num_attention_heads")
    size = number(linear, "head_dim")
    tail = number(linear, "short_conv_kernel_size", default=4) - 1
    return 3 * tail * heads * size, heads * size * size


def lightning_state(text: Config) -> tuple[int, int]:
    """Lightning attention (arXiv 2405.17381): a square per head."""
    return 0, number(text, *HEADS) * head_size(text) ** 2


def linear_bailing_state(text: Config) -> tuple[int, int]:
    """Lightning attention whose squares have the type of the activations."""
    values, floats = lightning_state(text)
    return values + floats, 0


def mamba1_state(text: Config) -> tuple[int, int]:
    """Mamba (arXiv 2312.00752): a convolution's tail and channels x state."""
    inner = number(text, "mamba_expand") * number(text, *HIDDEN)
    inner = inner or number(text, "intermediate_size", "d_inner")
    tail = number(text, "conv_kernel", "d_conv", "mamba_d_conv", default=4) - 1
    return tail * inner + inner * number(text, "state_size", "d_state", "mamba_d_state"), 0


def mamba2_state(text: Config) -> tuple[int, int]:
    """Mamba-2 (arXiv 2405.21060): heads x head size x state, and a tail that holds B and C too."""
    heads = number(text, "mamba_n_heads", "mamba_num_heads", "num_heads")
    inner = heads * number(text, "mamba_d_head", "mamba_head_dim", "hidden_size_per_head",
                           "head_dim")  # fmt: skip
    state = number(text, "mamba_d_state", "ssm_state_size", "state_size")
    groups = number(text, "mamba_n_groups", "n_groups", default=0)
    tail = number(text, "mamba_d_conv", "conv_kernel", default=4) - 1
    return tail * (inner + 2 * groups * state), inner * state


def short_convolution_state(text: Config) -> tuple[int, int]:
    """LFM2: the tail of a short convolution."""
    return (number(text, "conv_L_cache", default=3) - 1) * number(text, *HIDDEN), 0


def griffin_state(text: Config) -> tuple[int, int]:
    """RG-LRU (Griffin, arXiv 2402.19427): one value per channel, and a convolution's tail."""
    return number(text, "conv1d_width", default=4) * number(text, *HIDDEN), 0


def rwkv7_state(text: Config) -> tuple[int, int]:
    """RWKV-7 (arXiv 2503.14456): two shifted tokens and a square per head."""
    hidden = number(text, *HIDDEN)
    return 2 * hidden + hidden * number(text, "head_dim", default=64), 0


def twice_latent_width(text: Config, kind: Kind) -> int:
    """LongCat-Flash has two attention blocks in every layer."""
    return 2 * latent_width(text, kind)


def plamo2_width(text: Config, kind: Kind) -> int:
    """Like grouped-query attention, with another name for the head size."""
    heads = number(text, "num_key_value_heads", default=4)
    return 2 * heads * number(text, "hidden_size_per_head", default=128)
