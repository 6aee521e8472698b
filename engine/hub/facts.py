"""Facts about a model from the Hub's JSON: what it tells is read, and only the rest is guessed.

The Hub relays what strangers wrote into their repos, so any field may be missing, of another
type, or absurd; such a field is as good as missing. What this does not know: whether the files
are what the config says, and the layers' sizes, which the Hub's list leaves out.
"""

import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from engine.hub.names import NameFacts, facts_from_name, format_bits, methods_from
from engine.hub.weights import Evidence, Quantization, Weights, float_label, weigh
from engine.records import ModelSummary

_REPO_ID = re.compile(
    r"(?!.*(?:--|\.\.))[A-Za-z0-9_][\w.-]*/[A-Za-z0-9_][\w.-]*(?<![.-])", re.ASCII
)
_CONTEXT_NAMES = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "n_ctx")
_DTYPE_LABELS = {"bfloat16": "bf16", "float16": "fp16", "float32": "fp32"}
_PACKED_MODES = ("mxfp4", "nvfp4", "mxfp8")
_BITS_TAG = re.compile(r"([2-8])-bit")
_WEIGHT_FILE = re.compile(r"model[^/]*\.safetensors")
_TASK_TAGS = ("text-generation", "image-text-to-text", "any-to-any")
MAX_COUNT = 10**15
MAX_TEXT = 300


def summary_from_hub(raw: Mapping[str, Any]) -> ModelSummary | None:
    """One entry of ``GET /api/models``, with whatever it was asked to expand.

    Returns None without a usable ``id`` ("owner/name"). ``guessed`` lists "parameters",
    "quantization" and "bits" where they are taken from the name, and "weights_bytes" where it is
    ``usedStorage``. That holds every version and every format ever stored, so it is taken only
    where it is near what counts and bits give; ``weights_bytes`` is never taken from a name.
    """
    repo_id = _repo_id(raw)
    if repo_id is None:
        return None
    tags = _texts(raw.get("tags"))
    config, card = _object(raw.get("config")), _object(raw.get("cardData"))
    library = _text(raw.get("library_name"))
    files = _files(raw.get("siblings"))
    return ModelSummary(
        repo_id=repo_id,
        model_type=_text(raw.get("pipeline_tag"))
        or next((tag for tag in _TASK_TAGS if tag in tags), "unknown"),
        library=library or ("mlx" if "mlx" in tags else ""),
        architecture=_text(config.get("model_type")) or "unknown",
        methods=methods_from(repo_id, tags),
        context_tokens=_context_tokens(config),
        downloads=_count(raw.get("downloads")) or 0,
        likes=_count(raw.get("likes")) or 0,
        trending=_real(raw.get("trendingScore")),
        updated_at=_time(raw.get("lastModified")) or _time(raw.get("createdAt")),
        license=_license(card, tags),
        base_models=_base_models(raw, card, tags),
        is_gated=raw.get("gated") is True or raw.get("gated") in ("auto", "manual"),
        is_disabled=raw.get("disabled") is True,
        tags=tags,
        files=files,
        has_chat_template=_has_chat_template(config, files),
        needs_code=_needs_code(config, tags),
        **_weight_facts(raw, config, tags, facts_from_name(repo_id)),
    )


def _weight_facts(
    raw: Mapping[str, Any], config: Mapping[str, Any], tags: tuple[str, ...], named: NameFacts
) -> dict[str, Any]:
    """The fields on size and quantisation, and which of them are guessed."""
    counts, total = _counts(raw.get("safetensors"))
    guessed = []
    how, label = _quantization(config, counts, tags)
    if label == "unknown" and how.bits is None and named.quantization != "unknown":
        guessed += ["quantization", "bits"]
        label = named.quantization
        mode = label if label in _PACKED_MODES else "affine"
        how = Quantization(mode if counts.get("U32") else "", named.bits)
    elif label == "unknown" and how.bits is None and named.bits is not None:
        guessed.append("bits")
        how = Quantization("affine", named.bits)
    stored = _count(raw.get("usedStorage")) or None
    weights = weigh(counts, how, Evidence(total, stored, named.parameters))
    parameters = weights.parameters
    if parameters is None and named.parameters is not None:
        guessed.append("parameters")
        parameters = named.parameters
    listed = _listed_bytes(raw.get("siblings"))
    if listed is None and weights.is_from_storage:
        guessed.append("weights_bytes")
    return {
        "quantization": label,
        "bits": _mean_bits(weights, how, label),
        "parameters": parameters,
        "weights_bytes": listed or weights.size_bytes or None,
        "guessed": tuple(guessed),
    }


def _mean_bits(weights: Weights, how: Quantization, label: str) -> float | None:
    if weights.bits is not None:
        return weights.bits
    return how.bits if how.bits is not None else format_bits(label)


def _quantization(
    config: Mapping[str, Any], counts: Mapping[str, int], tags: tuple[str, ...]
) -> tuple[Quantization, str]:
    """From the config, else the Hub's own tag ("4-bit"), else the dtype of most weights."""
    text = _object(config.get("text_config"))
    found = next(
        (part for holder in (config, text) for name in ("quantization", "quantization_config")
         if (part := _object(holder.get(name)))), {}
    )  # fmt: skip
    mode = _text(found.get("mode")) or _text(found.get("quant_method"))
    bits = _bits(found.get("bits"))
    if bits is None and found.get("load_in_4bit") is True:
        bits = 4.0
    if bits is None and not mode:
        tagged = next(filter(None, map(_BITS_TAG.fullmatch, tags)), None)
        if tagged and (found or counts.get("U32") or not counts):
            bits = float(tagged[1])
    if mode in _PACKED_MODES:
        bits = format_bits(mode)
    if bits is not None:
        how = Quantization(
            mode=mode if mode in _PACKED_MODES else "affine",
            bits=bits,
            group_size=_group_size(found.get("group_size")),
            other_bits=_other_bits(found, bits),
        )
        return how, how.label
    if found:  # packed in a way that is not known here, so its dtypes say nothing
        return Quantization(), "unknown"
    dtype = config.get("torch_dtype") or config.get("dtype") or text.get("dtype")
    stated = _DTYPE_LABELS.get(_text(dtype), "unknown")
    return Quantization(), float_label(counts) if counts else stated


def _other_bits(found: Mapping[str, Any], bits: float) -> float:
    """The width of layers that the config lists by name, 8 when it lists none."""
    widths = [_bits(part.get("bits")) for part in found.values() if isinstance(part, Mapping)]
    return next((width for width in widths if width and width != bits), 8.0)


def _bits(value: Any) -> float | None:
    return float(value) if 1 <= _real(value) <= 8 else None


def _group_size(value: Any) -> int | None:
    size = _count(value)
    return size if size in (16, 32, 64, 128) else None


def _counts(value: Any) -> tuple[dict[str, int], int | None]:
    """Elements per dtype, and the Hub's own total."""
    block = _object(value)
    pairs = ((_text(dtype), _count(n)) for dtype, n in _object(block.get("parameters")).items())
    return {dtype: n for dtype, n in pairs if dtype and n}, _count(block.get("total"))


def _context_tokens(config: Mapping[str, Any]) -> int | None:
    for holder in (_object(config.get("text_config")), config):
        for name in _CONTEXT_NAMES:
            if count := _count(holder.get(name)):
                return count if count <= 2**40 else None
    return None


def _has_chat_template(config: Mapping[str, Any], files: tuple[str, ...] | None) -> bool | None:
    """From the Hub's excerpt of tokenizer_config.json, and from files that hold a template.

    False needs both to be known; a listed tokenizer_config.json without an excerpt leaves it open.
    """
    tokenizer = config.get("tokenizer_config")
    templates = (config.get("chat_template_jinja"), _object(tokenizer).get("chat_template"))
    if any(template and isinstance(template, str | list | dict) for template in templates):
        return True
    if files is None:
        return None
    if any(f == "chat_template.jinja" or f.startswith("additional_chat_templates/") for f in files):
        return True
    if isinstance(tokenizer, Mapping) or "tokenizer_config.json" not in files:
        return False
    return None


def _needs_code(config: Mapping[str, Any], tags: tuple[str, ...]) -> bool | None:
    """Whether the repo brings Python of its own for its model; None when there is no config.

    An ``auto_map`` is for transformers: mlx-lm does without where it knows the architecture.
    """
    if config.get("auto_map") or config.get("model_file") or "custom_code" in tags:
        return True
    return False if config else None


def _license(card: Mapping[str, Any], tags: tuple[str, ...]) -> str | None:
    """The licence's identifier; its own name where that is only "other"."""
    stated = card.get("license")
    listed = _texts(stated) if isinstance(stated, list) else ()
    found = _text(stated) or (listed[0] if listed else "")
    found = found or next(
        (t.removeprefix("license:") for t in tags if t.startswith("license:")), ""
    )
    return (_text(card.get("license_name")) or found if found == "other" else found) or None


def _base_models(
    raw: Mapping[str, Any], card: Mapping[str, Any], tags: tuple[str, ...]
) -> tuple[str, ...]:
    """Ids without repeats, from the first of ``baseModels``, the card and the tags that has any."""
    linked = _object(raw.get("baseModels")).get("models")
    ids = [_text(_object(m).get("id")) for m in linked] if isinstance(linked, list) else []
    stated = card.get("base_model")
    tagged = [tag.rsplit(":", 1)[-1] for tag in tags if tag.startswith("base_model:")]
    for found in (ids, [_text(stated)], _texts(stated), tagged):
        if names := [name for name in found if name]:
            return tuple(dict.fromkeys(names))
    return ()


def _files(value: Any) -> tuple[str, ...] | None:
    if not isinstance(value, list):
        return None
    return tuple(name for entry in value if (name := _text(_object(entry).get("rfilename"), 1000)))


def _listed_bytes(value: Any) -> int | None:
    """Bytes of the weight files, when the Hub was asked for the size of every file."""
    entries = [_object(entry) for entry in value] if isinstance(value, list) else []
    sizes = [_count(entry.get("size")) for entry in entries
             if _WEIGHT_FILE.fullmatch(_text(entry.get("rfilename"), 1000))]  # fmt: skip
    known = [size for size in sizes if size]
    return sum(known) if known and len(known) == len(sizes) else None


def _repo_id(raw: Mapping[str, Any]) -> str | None:
    for name in ("id", "modelId"):
        value = raw.get(name)
        if isinstance(value, str) and len(value) <= 200 and _REPO_ID.fullmatch(value):
            return value
    return None


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: Any, longest: int = MAX_TEXT) -> str:
    """A text without halves of characters, which no file or page could hold; else ""."""
    if not isinstance(value, str) or len(value) > longest:
        return ""
    return value.encode("utf-8", "replace").decode().strip()


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(_iter_texts(value)) if isinstance(value, list | tuple) else ()


def _iter_texts(values: list[Any] | tuple[Any, ...]) -> Iterator[str]:
    for value in values:
        if text := _text(value):
            yield text


def _count(value: Any) -> int | None:
    """A whole number from 0 to MAX_COUNT; anything else is as good as missing."""
    number = _real(value, -1.0)
    return int(value) if 0 <= number <= MAX_COUNT and number == int(number) else None


def _real(value: Any, default: float = 0.0) -> float:
    """A finite number that is no truth value; ``default`` for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return default
    if isinstance(value, int) and abs(value) > 2**62:
        return default
    return float(value) if math.isfinite(value) else default


def _time(value: Any) -> float | None:
    """Unix seconds of an ISO 8601 date, taken as UTC where it names no zone."""
    text = _text(value)
    try:
        moment = datetime.fromisoformat(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return max(moment.timestamp(), 0.0) or None
    except (ValueError, OverflowError):
        return None
