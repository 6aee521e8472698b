"""Which files of a repo a person needs. Pure."""

import re
from collections.abc import Iterable

from engine.records import RepoFile

_WANTED = re.compile(
    r"^(?:model[^/]*\.safetensors|[^/]*\.json|[^/]*\.jinja|tokenizer\.model|[^/]*\.tiktoken"
    r"|(?:vocab|merges|special_tokens)[^/]*\.txt|readme(?:\.md)?|licen[cs]e[^/]*|notice[^/]*)$",
    re.IGNORECASE,
)
_NEVER = re.compile(r"\.(?:py|pyc|pkl|pickle|bin|pt|pth|ckpt|gguf|onnx|h5|msgpack|so)$", re.I)


def wanted_files(files: Iterable[RepoFile]) -> tuple[RepoFile, ...]:
    """Files that mlx-lm needs or a person wants: weights, settings, tokenizer, card, licence.

    Never code, pickles or other formats of the same weights, and nothing from folders.
    """
    return tuple(
        file for file in files if _WANTED.match(file.path) and not _NEVER.search(file.path)
    )


def download_bytes(files: Iterable[RepoFile]) -> int:
    """Bytes that a download would fetch."""
    return sum(file.size_bytes for file in wanted_files(files))
