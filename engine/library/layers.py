"""What every layer of an architecture keeps of a sequence: a table by model type.

Read off mlx_lm/models/*.py of mlx-lm 0.32: ``make_cache`` says which layers get a full cache, a
window or a state, the arguments of ``update_and_fetch`` how wide it is. An architecture that is not
in the table keeps keys and values of every layer, as most do.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.library import layer_kinds as kinds
from engine.library import layer_sizes as sizes
from engine.library.config_values import Config, number, text_config
from engine.library.layer_kinds import Kind, Kinds
from engine.library.layer_sizes import State, Width

MAX_LAYERS = 4096


@dataclass(frozen=True)
class LayerCache:
    """What one layer keeps of one sequence, in values.

    ``window_tokens`` 0 keeps every token. ``state_values`` have the type of the activations,
    ``state_floats`` are always float32; neither grows with the sequence.
    """

    token_values: int = 0
    window_tokens: int = 0
    state_values: int = 0
    state_floats: int = 0
    is_packable: bool = False


@dataclass(frozen=True)
class _Architecture:
    kinds: Kinds = kinds.all_layers("full")
    width: Width = sizes.grouped_width
    state: State = sizes.no_state
    window_names: tuple[str, ...] = ("sliding_window",)
    defaults: Mapping[str, Any] = field(default_factory=dict)

    def layer(self, text: Config, kind: Kind) -> LayerCache | None:
        """What a layer of this kind keeps; None when the config does not say."""
        width = self.width(text, kind) if kind != "state" else 0
        values, floats = self.state(text) if kind in ("state", "both") else (0, 0)
        window = number(text, *self.window_names) if kind == "window" else 0
        if (kind != "state" and not width) or (kind in ("state", "both") and not values + floats):
            return None
        is_packable = kind in ("full", "both") and not text.get("kv_lora_rank")
        return LayerCache(width, window, values, floats, is_packable)


def architecture_name(config: Config) -> str:
    """The model type by which the text model is known; empty when the config names none."""
    for part in (text_config(config), config):
        value = part.get("model_type")
        if isinstance(value, str) and value in _TABLE:
            return value
    value = config.get("model_type")
    return value if isinstance(value, str) else ""


def layer_caches(config: Config) -> tuple[LayerCache, ...] | None:
    """What every layer keeps, in order; None when the config does not say.

    Layers that use another layer's keys and values keep nothing and are left out.
    """
    architecture = _TABLE.get(architecture_name(config), _PLAIN)
    named = {name: value for name, value in text_config(config).items() if value is not None}
    text = {**architecture.defaults, **named}
    layers = number(text, *sizes.LAYERS) or kinds.listed_layers(text)
    if not 0 < layers <= MAX_LAYERS:
        return None
    found: dict[Kind, LayerCache | None] = {}
    caches: list[LayerCache] = []
    for kind in architecture.kinds(text, layers)[: _own_layers(text, layers)]:
        if kind == "none":
            continue
        if kind not in found:
            found[kind] = architecture.layer(text, kind)
        cache = found[kind]
        if cache is None:
            return None
        caches.append(cache)
    return tuple(caches)


def _own_layers(text: Config, layers: int) -> int | None:
    """The last layers of Gemma 3n and 4, and of AFM, read an earlier layer's keys and values."""
    shared = number(text, "num_kv_shared_layers", "num_kv_reuse_layers")
    return layers - shared if 0 < shared < layers else None


_PLAIN = _Architecture()
_NAMED = _Architecture(kinds.listed("full"))
_SLIDING_FIRST = _Architecture(kinds.listed("window", "full"))
_THREE_TO_ONE = _Architecture(kinds.listed("window", "window", "window", "full"))
_LATENT = _Architecture(width=sizes.latent_width)
_INDEXED = _Architecture(width=sizes.indexed_width)
_EXPANDED = _Architecture(width=sizes.expanded_width)
_MAMBA2_HYBRID = _Architecture(kinds.listed("full"), state=sizes.mamba2_state)
_DELTA = {"linear_num_value_heads": 64, "linear_num_key_heads": 16, "linear_key_head_dim": 192,
          "linear_value_head_dim": 128}  # fmt: skip
_QWEN_NEXT = _Architecture(
    kinds.every("full_attention_interval", 4, "state"),
    state=sizes.delta_net_state,
    defaults=_DELTA,
)
_GEMMA3 = _Architecture(
    kinds.every("sliding_window_pattern", 6, "window"),
    defaults={"num_hidden_layers": 26, "num_attention_heads": 8, "num_key_value_heads": 4,
              "head_dim": 256, "sliding_window": 512},
)  # fmt: skip
_GEMMA4 = _Architecture(
    kinds.gemma4_kinds,
    width=sizes.gemma4_width,
    defaults={"num_attention_heads": 8, "num_key_value_heads": 1, "head_dim": 256,
              "global_head_dim": 512, "sliding_window": 512, "num_kv_shared_layers": 20},
)  # fmt: skip
_KIMI = _Architecture(kinds.kimi_kinds, sizes.latent_width, sizes.kimi_delta_state)

_TABLE: Mapping[str, _Architecture] = {
    # Full and windowed layers.
    **dict.fromkeys(("llama", "mistral", "iquestcoder", "xverse", "ministral3", "mistral3"),
                    _NAMED),
    **dict.fromkeys(("afmoe", "exaone_moe", "laguna", "mellum", "muse_spark"), _NAMED),
    **dict.fromkeys(("olmo3", "spark2_5", "muse_glimmer"), _THREE_TO_ONE),
    "gpt_oss": _SLIDING_FIRST,
    "step3p5": _Architecture(kinds.listed("window", "full"), width=sizes.step_width),
    "gemma3n": _NAMED, "gemma3n_text": _NAMED,
    "gemma3": _GEMMA3,
    "gemma3_text": _Architecture(
        _GEMMA3.kinds,
        defaults={**_GEMMA3.defaults, "num_attention_heads": 4, "num_key_value_heads": 1}),
    **dict.fromkeys(("gemma4", "gemma4_text", "gemma4_unified"), _GEMMA4),
    "cohere2": _Architecture(
        kinds.every("sliding_window_pattern", 4, "window"),
        defaults={"head_dim": 128, "num_key_value_heads": 8, "sliding_window": 4096}),
    "exaone4": _Architecture(kinds.exaone4_kinds),
    "plamo3": _Architecture(
        kinds.every("sliding_window_pattern", 8, "window"),
        window_names=("sliding_window", "window_size")),
    "llama4": _Architecture(
        kinds.every("", 4, "window"), window_names=("attention_chunk_size",)),
    "mimo_v2_flash": _Architecture(
        kinds.mimo_kinds, sizes.mimo_width, window_names=("sliding_window_size",)),
    "iquestloopcoder": _Architecture(
        kinds.full_then_window, window_names=("loop_window_size",),
        defaults={"loop_window_size": 64}),
    "nanbeige": _Architecture(kinds.looped),
    # Latent attention: kept compressed, with an indexer, or expanded.
    **dict.fromkeys(("deepseek_v3", "kimi_k2", "kimi_k25", "kimi_vl", "joyai_llm_flash",
                     "glm4_moe_lite", "mistral4"), _LATENT),
    **dict.fromkeys(("deepseek_v32", "glm_moe_dsa"), _INDEXED),
    **dict.fromkeys(("deepseek_v2", "minicpm3", "youtu_llm"), _EXPANDED),
    **dict.fromkeys(("longcat_flash", "longcat_flash_ngram"),
                    _Architecture(width=sizes.twice_latent_width)),
    # Attention and states side by side.
    **dict.fromkeys(("qwen3_next", "qwen3_5", "qwen3_5_text", "qwen3_5_moe", "qwen3_5_moe_text"),
                    _QWEN_NEXT),
    "olmo_hybrid": _Architecture(
        kinds.listed("state", "state", "state", "full"), state=sizes.delta_net_state),
    "granitemoehybrid": _MAMBA2_HYBRID,
    "nemotron_h": _Architecture(
        kinds.listed("full", names=("hybrid_override_pattern", "layers_block_type", "layer_types")),
        state=sizes.mamba2_state),
    "falcon_h1": _Architecture(kinds.all_layers("both"), state=sizes.mamba2_state),
    "plamo2": _Architecture(kinds.plamo2_kinds, sizes.plamo2_width, sizes.mamba2_state),
    "jamba": _Architecture(kinds.jamba_kinds, state=sizes.mamba1_state),
    **dict.fromkeys(("lfm2", "lfm2_moe", "lfm2-vl"),
                    _Architecture(kinds.lfm2_kinds, state=sizes.short_convolution_state)),
    **dict.fromkeys(("kimi_linear", "kimi_k3"), _KIMI),
    "bailing_hybrid": _Architecture(
        kinds.grouped_layers, sizes.latent_width, sizes.lightning_state),
    "bailing_moe_linear": _Architecture(
        kinds.grouped_layers, state=sizes.linear_bailing_state),
    "recurrent_gemma": _Architecture(
        kinds.recurrent_gemma_kinds, state=sizes.griffin_state,
        window_names=("attention_window_size",)),
    # States alone.
    **dict.fromkeys(("mamba", "falcon_mamba"),
                    _Architecture(kinds.all_layers("state"), state=sizes.mamba1_state)),
    "mamba2": _Architecture(kinds.all_layers("state"), state=sizes.mamba2_state),
    "rwkv7": _Architecture(kinds.all_layers("state"), state=sizes.rwkv7_state),
}  # fmt: skip
