"""Which model can draft for which: it has the same words, is much smaller, and both fit. Pure."""

import hashlib
from pathlib import Path

from engine.records import LocalModel

_LEAST_RATIO = 2  # of the weights: a draft that is nearly as large can only lose
_TOKENIZER = "tokenizer.json"


def can_draft(draft: LocalModel, model: LocalModel, budget_bytes: int | None) -> bool:
    """Whether sizes and memory allow it. Both have to be known to fit together."""
    if draft.repo_id == model.repo_id or draft.is_damaged or model.is_damaged:
        return False
    if draft.size_bytes * _LEAST_RATIO > model.size_bytes:
        return False
    if budget_bytes is None or draft.memory is None or model.memory is None:
        return False
    return model.memory.with_draft(draft.memory).within(budget_bytes).fit in ("fits", "tight")


def has_same_words(one: LocalModel, other: LocalModel) -> bool:
    """Whether both folders hold the same tokenizer, byte by byte."""
    paths = (one.path / _TOKENIZER, other.path / _TOKENIZER)
    try:
        if paths[0].stat().st_size != paths[1].stat().st_size:
            return False
        return _digest(paths[0]) == _digest(paths[1])
    except OSError:
        return False


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
