"""What a model folder says about itself, read without loading it.

``describe_folder`` is cheap and is used for lists; ``check_folder`` also reads the headers of the
weights and is used before a load, because mlx-lm ignores the index file, loads what it finds, and
hangs on a config that promises a hundred thousand layers.
"""

import fnmatch
import hashlib
import json
import os
import re
import stat
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import Damaged, EngineError, NotInstalled, Unsupported
from engine.library.memory import MAX_NUMBER, number, text_config
from engine.library.safetensors import read_header
from engine.records import SamplingParams

MAX_JSON_BYTES = 64_000_000
MAX_PARTS = 10_000
_LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks|block)\.(\d+)\.")
_LAYER_COUNT = re.compile(r"(?:^|_)layers?$")
_PART_COUNT = re.compile(r"^(?:num|n)_.*(?:heads?|experts|blocks)$|^altup_num_inputs$")
_SHARD = re.compile(r"-(\d{5})-of-(\d{5})\.safetensors$")
_AGAIN = "Delete it and download it again."


@dataclass(frozen=True)
class FolderFacts:
    """Facts about one model folder. ``template`` is None when there is no chat template."""

    path: Path
    config: Mapping[str, Any]
    weight_files: tuple[Path, ...]
    weights_bytes: int
    architecture: str
    quantization: str
    template: str | None
    needs_code: bool


def weights_id(facts: FolderFacts) -> str:
    """A name that changes with the config and with any of the weights' files.

    By their sizes and times: reading all of them would take as long as loading the model.
    """
    stats = [(path.name, path.stat()) for path in facts.weight_files]
    files = [(name, found.st_size, found.st_mtime_ns) for name, found in stats]
    said = json.dumps([dict(facts.config), files], sort_keys=True, default=str)
    return hashlib.sha256(said.encode()).hexdigest()


def read_json(path: Path) -> Any:
    """JSON of one small file; raises Damaged when it is missing, huge, too deep or not JSON."""
    try:
        facts = path.stat()
        if facts.st_size > MAX_JSON_BYTES:
            raise Damaged(f"{path.name} is far too large.", _AGAIN)
        if not stat.S_ISREG(facts.st_mode):  # a pipe would never end
            raise Damaged(f"{path.name} is not a file.", _AGAIN)
        return json.loads(path.read_bytes().decode())
    except FileNotFoundError as error:
        raise Damaged(f"{path.name} is missing.", _AGAIN) from error
    except OSError as error:
        raise Damaged(f"{path.name} cannot be read.", _AGAIN) from error
    except (ValueError, RecursionError) as error:
        raise Damaged(f"{path.name} is not valid JSON.", _AGAIN) from error


def describe_folder(path: Path, *, is_for_list: bool = False) -> FolderFacts:
    """Facts of a model folder, from its small files and the sizes of its weights.

    A list believes weights whose names leave no gap, and the index, often the largest text, stays
    shut. Raises NotInstalled when it is no model folder, Damaged when something is missing or
    broken.
    """
    if not os.path.isfile(path / "config.json"):
        raise NotInstalled(
            f"{path.name} is not a model folder.",
            "A model folder holds config.json and model*.safetensors.",
        )
    config = read_json(path / "config.json")
    if not isinstance(config, dict):
        raise Damaged("config.json is not an object of settings.", _AGAIN)
    if not isinstance(config.get("model_type"), str):
        raise Damaged("config.json does not say which model type it is.", _AGAIN)
    tokenizer_config = _optional_object(path / "tokenizer_config.json")
    weight_files = _weight_files(path, is_for_list)
    return FolderFacts(
        path=path,
        config=config,
        weight_files=weight_files,
        weights_bytes=sum(_size_bytes(file) for file in weight_files),
        architecture=config["model_type"].encode("utf-8", "replace").decode(),  # no half characters
        quantization=quantization_label(config),
        template=_template(path, tokenizer_config),
        needs_code="model_file" in config or _tokenizer_needs_code(path, tokenizer_config),
    )


def check_folder(path: Path, architectures: Collection[str]) -> FolderFacts:
    """Facts of a folder that may be loaded.

    Raises as describe_folder does, and Unsupported when mlx-lm does not know its architecture or
    it wants its own Python code run; Damaged when a weight file is broken or the config promises
    more layers than the weights hold.
    """
    facts = describe_folder(path)
    if facts.needs_code:
        raise Unsupported(
            "This model wants to run Python code of its own, and Pomona never runs downloaded"
            " code.",
            "Look in Discover for a version marked “will chat”.",
        )
    if facts.architecture not in architectures:
        raise Unsupported(
            f"The installed mlx-lm does not know the model type “{facts.architecture[:60]}”.",
            "Update mlx-lm, or look in Discover for a model marked “will chat”.",
        )
    _check_counts(facts)
    return facts


def blockers_of(facts: FolderFacts, architectures: Collection[str]) -> tuple[str, ...]:
    """Plain sentences on why this model will not chat; empty when nothing is in the way."""
    blockers = []
    if facts.needs_code:
        blockers.append("It needs Python code of its own, which Pomona does not run.")
    if facts.architecture not in architectures:
        blockers.append(f"mlx-lm does not know its architecture “{facts.architecture[:60]}”.")
    if facts.template is None:
        blockers.append("It has no chat template: it continues text, but was not made to converse.")
    return tuple(blockers)


def quantization_label(config: Mapping[str, Any]) -> str:
    """The quantisation as people name it: ``4-bit``, ``mxfp4``, ``bf16`` ..., or ``unknown``."""
    quantization = config.get("quantization") or config.get("quantization_config")
    if isinstance(quantization, dict):
        mode = quantization.get("mode") or quantization.get("quant_method")
        if mode in ("mxfp4", "nvfp4", "mxfp8"):
            return str(mode)
        if bits := number(quantization, "bits"):
            return f"{bits}-bit"
    dtype = config.get("torch_dtype") or config.get("dtype") or text_config(config).get("dtype")
    names = {"bfloat16": "bf16", "float16": "fp16", "float32": "fp32"}
    return names.get(str(dtype), "unknown")


def suggested_sampling(path: Path) -> tuple[SamplingParams, bool]:
    """Sampling settings from generation_config.json, and whether it says anything.

    Values of the wrong type or outside what the app offers are left out. ``do_sample`` false
    without a temperature means greedy (transformers' GenerationConfig).
    """
    raw = _optional_object(path / "generation_config.json")
    ours = SamplingParams()
    found: dict[str, Any] = {}
    ranges = {
        "temperature": (0.0, 2.0), "top_p": (0.01, 1.0), "min_p": (0.0, 1.0),
        "repetition_penalty": (1.0, 2.0),
    }  # fmt: skip
    for name, (low, high) in ranges.items():
        value = raw.get(name)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            if low <= value <= high:
                found[name] = float(value)
    counts = {"top_k": ("top_k", 0, 1000), "max_new_tokens": ("max_tokens", 1, 1_000_000)}
    for name, (ours_name, least, most) in counts.items():
        count = raw.get(name)
        if isinstance(count, int) and not isinstance(count, bool) and least <= count <= most:
            found[ours_name] = count
    if raw.get("do_sample") is False:
        found["temperature"] = 0.0
    return (SamplingParams(**{**ours.__dict__, **found}), bool(found))


def _optional_object(path: Path) -> dict[str, Any]:
    try:
        value = read_json(path)
    except EngineError:
        return {}
    return value if isinstance(value, dict) else {}


def _weight_files(path: Path, is_for_list: bool) -> tuple[Path, ...]:
    """The weight files that mlx-lm would load, once it is sure that all of them are there."""
    try:
        names = sorted(fnmatch.filter(os.listdir(path), "model*.safetensors"))
    except OSError as error:
        raise Damaged(f"Its folder cannot be read ({error.strerror}).", _AGAIN) from error
    files = tuple(path / name for name in names)
    if not files:
        raise Damaged("There are no weights: no model*.safetensors.", _AGAIN)
    present = {file.name for file in files}
    wanted: set[str] = set()
    for file in files:
        if match := _SHARD.search(file.name):
            stem, count = file.name[: match.start()], int(match[2])
            seen = min(count, len(files) + 1)  # one more than there are shows a gap
            wanted |= {f"{stem}-{i:05}-of-{count:05}.safetensors" for i in range(1, seen + 1)}
    has_no_gap = present in (wanted, {"model.safetensors"})
    if not (is_for_list and has_no_gap):
        wanted |= _indexed_files(path / "model.safetensors.index.json")
    if missing := sorted(name for name in wanted - present if name):
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise Damaged(f"Weights are missing: {missing[0][:120]}{more}.", _AGAIN)
    return files


def _indexed_files(index: Path) -> set[str]:
    """The weight files that the index names."""
    weight_map = _optional_object(index).get("weight_map")
    return {str(name) for name in weight_map.values()} if isinstance(weight_map, dict) else set()


def _size_bytes(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError as error:  # a link of the Hub's cache whose target was deleted
        raise Damaged(f"{file.name} cannot be read.", _AGAIN) from error


def _check_counts(facts: FolderFacts) -> None:
    """Compare what the config promises with the weights: mlx-lm would build it all first."""
    layers_held = tensors_held = 0
    for file in facts.weight_files:
        for name in read_header(file):
            tensors_held += 1
            if match := _LAYER.search(name):
                layers_held = max(layers_held, int(match[1][:9]) + 1)
    for config in (facts.config, text_config(facts.config)):
        promised = config.get("num_hidden_layers", 0)
        if not isinstance(promised, int | None) or (promised or 0) < 0:
            raise Damaged("config.json gives no usable number of layers.", _AGAIN)
        for name, value in config.items():
            is_count = isinstance(value, int)
            if is_count and _PART_COUNT.search(name) and value > MAX_PARTS:
                raise Damaged(f"config.json gives no usable {name[:60]}.", _AGAIN)
            if is_count and _LAYER_COUNT.search(name):
                held = layers_held if name == "num_hidden_layers" and layers_held else tensors_held
                if value > held:
                    raise Damaged(
                        f"config.json promises {value:,} layers, the weights hold {held:,}."
                        if value < MAX_NUMBER
                        else "config.json gives no usable number of layers.",
                        _AGAIN,
                    )


def _template(path: Path, tokenizer_config: dict[str, Any]) -> str | None:
    """The chat template that transformers will use, found in the order in which it looks.

    Files of their own come before the entry in tokenizer_config.json, and an old
    special_tokens_map.json overrides both (PreTrainedTokenizerBase._from_pretrained).
    chat_template.json is for processors of images, and no tokenizer reads it.
    """
    chosen: Any = tokenizer_config.get("chat_template")
    extra = path / "additional_chat_templates"
    files = {"default": path / "chat_template.jinja"}
    try:
        files |= {file.name.removesuffix(".jinja"): file for file in sorted(extra.glob("*.jinja"))}
        texts = {name: _text(file) for name, file in files.items() if file.is_file()}
    except (OSError, UnicodeDecodeError) as error:
        raise Damaged("The chat template cannot be read.", _AGAIN) from error
    if texts:
        chosen = texts
    if "added_tokens_decoder" not in tokenizer_config:
        chosen = _optional_object(path / "special_tokens_map.json").get("chat_template", chosen)
    if isinstance(chosen, list):
        entries = [entry for entry in chosen if isinstance(entry, dict)]
        chosen = {str(entry.get("name")): entry.get("template") for entry in entries}
    if isinstance(chosen, dict):
        chosen = chosen.get("default")
    if isinstance(chosen, str):
        return chosen
    return "" if tokenizer_config.get("chat_template_type") else None


def _text(file: Path) -> str:
    if file.stat().st_size > MAX_JSON_BYTES:
        raise Damaged(f"{file.name} is far too large.", _AGAIN)
    return file.read_text(encoding="utf-8")


def _tokenizer_needs_code(path: Path, tokenizer_config: dict[str, Any]) -> bool:
    """An ``auto_map`` matters only where no plain tokenizer.json can stand in for it."""
    return "auto_map" in tokenizer_config and not os.path.isfile(path / "tokenizer.json")
