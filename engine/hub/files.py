"""Which files of a repo a person needs. Pure."""

import json
import re
from collections.abc import Iterable, Mapping

from engine.records import RepoFile

INDEX_NAME = "model.safetensors.index.json"
MAX_NAME_BYTES = 255
# mlx-lm loads every file of this form in the folder, whatever the index says (mlx_lm.utils).
_WEIGHTS = re.compile(r"^model[^/]*\.safetensors$")
# A second precision of the same weights, as transformers names it: model.fp16-00001-of-00002...
_VARIANT = re.compile(r"^model\.(?!safetensors$)[^/.]+\.safetensors$")
_WANTED = re.compile(
    r"^(?:[^/]*\.(?:json|jinja|model|tiktoken|txt)|tokenizer[^/]*\.jsonl"
    r"|additional_chat_templates/[^/]*\.jinja"
    r"|(?:readme|[^/.]*licen[cs]e|notice|copying|use_policy)[^/]*)$",
    re.IGNORECASE,
)
_NEVER = re.compile(
    r"\.(?:py[a-z]?|ipynb|pkl|pickle|joblib|bin|pt|pth|ckpt|gguf|ggml|onnx|h5|tflite|msgpack|npz|so"
    r"|dylib|dll|exe|sh|zip|tar|gz|safetensors|png|jpe?g|gif|webp|svg|mp4)$"
    r"|(?<!^model\.safetensors)\.index\.json$",  # the indexes of other formats
    re.IGNORECASE,
)


def wanted_files(
    files: Iterable[RepoFile], indexed: frozenset[str] | None = None
) -> tuple[RepoFile, ...]:
    """Files that mlx-lm needs or a person wants: weights, settings, tokenizer, card, licence.

    Never code, pickles, archives or other formats of the same weights. ``indexed`` are the names
    that the repo's index gives (``indexed_weights``). An index whose files are all missing
    describes other weights: then it is left out, since the library would take it at its word.
    """
    listed = tuple(files)
    weights = _weights(listed, indexed)
    is_index_stale = indexed is not None and not indexed & weights
    wanted = {
        file.path: file
        for file in listed
        if file.path in weights
        or (_WANTED.match(file.path) and not _NEVER.search(file.path) and _fits_a_disk(file.path)
            and not (is_index_stale and file.path == INDEX_NAME))
    }  # fmt: skip
    return tuple(_one_per_name(wanted).values())


def has_weights(files: Iterable[RepoFile]) -> bool:
    """Whether there is anything that mlx-lm could load."""
    return any(_WEIGHTS.match(file.path) for file in files)


def missing_weights(files: Iterable[RepoFile], indexed: frozenset[str] | None) -> tuple[str, ...]:
    """Names in the index that the repo does not have, unless it has none of them."""
    paths = {file.path for file in files}
    return tuple(sorted(indexed - paths)) if indexed and indexed & paths else ()


def indexed_weights(index_text: str) -> frozenset[str] | None:
    """File names in an index; None when it is none."""
    try:
        index = json.loads(index_text)
    except (ValueError, RecursionError):
        return None
    weight_map = index.get("weight_map") if isinstance(index, Mapping) else None
    if not isinstance(weight_map, Mapping) or not weight_map:
        return None
    return frozenset(name for name in weight_map.values() if isinstance(name, str))


def download_bytes(files: Iterable[RepoFile]) -> int:
    """Bytes that a download would fetch."""
    return sum(file.size_bytes for file in wanted_files(files))


def _weights(files: tuple[RepoFile, ...], indexed: frozenset[str] | None) -> frozenset[str]:
    found = frozenset(file.path for file in files if _WEIGHTS.match(file.path))
    if indexed is not None and indexed & found:
        return indexed & found
    usual = frozenset(name for name in found if not _VARIANT.match(name))
    return usual or found


def _fits_a_disk(path: str) -> bool:
    return all(len(part.encode()) <= MAX_NAME_BYTES for part in path.split("/"))


def _one_per_name(files: Mapping[str, RepoFile]) -> dict[str, RepoFile]:
    """Of names that differ in case alone, the one that programs ask for: the lower-case one."""
    kept: dict[str, str] = {}
    for path in files:
        folded = path.casefold()
        if folded not in kept or path == folded:
            kept[folded] = path
    return {path: files[path] for path in files if kept[path.casefold()] == path}
