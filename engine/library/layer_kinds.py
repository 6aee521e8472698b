"""Which layers of a model attend to everything, to a window, or carry a state instead.

Rules from a config to a list of kinds, one per layer, as mlx_lm/models/*.py of mlx-lm 0.32 build
their layers. Which architecture follows which rule is the table in ``engine.library.layers``.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from engine.library.config_values import Config, number, part

Kind = Literal["full", "window", "state", "both", "none"]
Kinds = Callable[[Config, int], list[Kind]]

_WORDS: Mapping[str, Kind] = {
    "full_attention": "full", "attention": "full", "*": "full",
    "sliding_attention": "window", "chunked_attention": "window",
    "linear_attention": "state", "mamba": "state", "conv": "state", "recurrent": "state",
    "M": "state", "mlp": "none", "moe": "none", "-": "none", "E": "none",
}  # fmt: skip


def all_layers(kind: Kind) -> Kinds:
    """Every layer alike."""
    return lambda text, layers: [kind] * layers


def _kind_of(word: Any) -> Kind:
    """An unknown word is taken for full attention, which keeps most."""
    return _WORDS.get(word, "full") if isinstance(word, str) else "full"


def listed(*default: Kind, names: tuple[str, ...] = ("layer_types",)) -> Kinds:
    """Named layer by layer, in a list or a string of letters; ``default`` in turns otherwise."""

    def kinds(text: Config, layers: int) -> list[Kind]:
        for name in names:
            words = text.get(name)
            if isinstance(words, str | list) and len(words) >= layers:
                return [_kind_of(word) for word in words[:layers]]
        return [default[n % len(default)] for n in range(layers)]

    return kinds


def every(name: str, default: int, others: Kind) -> Kinds:
    """The last of every ``name`` layers is full."""

    def kinds(text: Config, layers: int) -> list[Kind]:
        period = number(text, name, default=default)
        return ["full" if (n + 1) % period == 0 else others for n in range(layers)]

    return kinds


def grouped_layers(text: Config, layers: int) -> list[Kind]:
    """The last of every group is full, and so is what remains after the last whole group."""
    size = number(text, "layer_group_size", default=1)
    whole = layers // size * size
    return ["full" if (n + 1) % size == 0 or n >= whole else "state" for n in range(layers)]


def gemma4_kinds(text: Config, layers: int) -> list[Kind]:
    """Listed, or the last of every five."""
    if isinstance(text.get("layer_types"), list):
        return listed("full")(text, layers)
    return every("sliding_window_pattern", 5, "window")(text, layers)


def exaone4_kinds(text: Config, layers: int) -> list[Kind]:
    """``sliding_window_pattern`` is a word like LLLG: local and global."""
    pattern = text.get("sliding_window_pattern")
    word = pattern if isinstance(pattern, str) and pattern else "G"
    return ["window" if word[n % len(word)] == "L" else "full" for n in range(layers)]


def mimo_kinds(text: Config, layers: int) -> list[Kind]:
    """MiMo flags the layers with a window by 1."""
    pattern = text.get("hybrid_layer_pattern")
    flags = pattern if isinstance(pattern, list) else []
    return ["window" if flag == 1 else "full" for flag in [*flags, *[0] * layers][:layers]]


def kimi_kinds(text: Config, layers: int) -> list[Kind]:
    """Kimi lists the layers without attention, counted from one."""
    linear = part(text, "linear_attn_config").get("kda_layers")
    counted_from_one = linear if isinstance(linear, list) else []
    return ["state" if n + 1 in counted_from_one else "full" for n in range(layers)]


def lfm2_kinds(text: Config, layers: int) -> list[Kind]:
    """LFM2 lists the layers with attention, counted from zero, or names them all."""
    indices = text.get("full_attn_idxs")
    if isinstance(indices, list):
        return ["full" if n in indices else "state" for n in range(layers)]
    return listed("full")(text, layers)


def jamba_kinds(text: Config, layers: int) -> list[Kind]:
    """Jamba has one layer with attention in every period."""
    if isinstance(text.get("layers_block_type"), list):
        return listed("full", names=("layers_block_type",))(text, layers)
    period, offset = number(text, "attn_layer_period", default=1), number(text, "attn_layer_offset")
    return ["full" if n % period == offset else "state" for n in range(layers)]


def recurrent_gemma_kinds(text: Config, layers: int) -> list[Kind]:
    """Griffin's blocks in turns; its attention has a window always."""
    blocks = text.get("block_types") or text.get("_block_types")
    words = blocks if isinstance(blocks, list) and blocks else ["attention"]
    return ["state" if words[n % len(words)] == "recurrent" else "window" for n in range(layers)]


def plamo2_kinds(text: Config, layers: int) -> list[Kind]:
    """PLaMo 2 has attention in the middle of every step; its windows are kept whole."""
    if text.get("mamba_enabled") is False:
        return ["full"] * layers
    step = number(text, "mamba_step", default=2)
    return ["full" if n % step == step // 2 else "state" for n in range(layers)]


def full_then_window(text: Config, layers: int) -> list[Kind]:
    """IQuest's loop coder runs its layers twice, the second time with a window."""
    return [*all_layers("full")(text, layers), *all_layers("window")(text, layers)]


def looped(text: Config, layers: int) -> list[Kind]:
    """Nanbeige runs its layers several times, with a cache for each."""
    weights = text.get("loop_loss_weights")
    loops = len(weights) + 1 if isinstance(weights, list) and weights else 0
    return ["full"] * (layers * min(loops or number(text, "num_loops", default=1), 16))


def listed_layers(text: Config) -> int:
    """How many layers a list of kinds names; 0 when there is none."""
    for name in ("hybrid_override_pattern", "layers_block_type", "layer_types"):
        if isinstance(names := text.get(name), str | list):
            return len(names)
    return 0
