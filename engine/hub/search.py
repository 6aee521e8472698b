"""Filter and rank what the catalogue holds. Pure; moving a filter costs no network."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from engine.records import (
    ChatReadiness,
    Fit,
    ModelSummary,
    Score,
    SearchQuery,
)

MAX_TEXT_CHARS = 200
MAX_LIMIT = 1000


@dataclass(frozen=True)
class RankedModel:
    """A model with everything that was worked out about it on this machine.

    ``memory_bytes`` is None where the Hub does not tell the size of the weights. ``haystack`` is
    what free text is looked for in.
    """

    summary: ModelSummary
    fit: Fit
    memory_bytes: int | None
    readiness: ChatReadiness
    score: Score
    haystack: str


def select(models: Iterable[RankedModel], query: SearchQuery) -> list[RankedModel]:
    """Models that match every filter, in the order asked for, at most ``query.limit`` of them."""
    return cut(matching(models, query), query)


def matching(models: Iterable[RankedModel], query: SearchQuery) -> list[RankedModel]:
    """All models that match every filter, in the order asked for."""
    tests = _tests(query)
    found = [model for model in models if all(test(model) for test in tests)]
    found.sort(key=_order(query.sort))
    return found


def cut(models: list[RankedModel], query: SearchQuery) -> list[RankedModel]:
    """The first ones, as many as ``query`` wants and no more than MAX_LIMIT."""
    return models[: max(0, min(query.limit, MAX_LIMIT))]


Test = Callable[[RankedModel], bool]


def _tests(query: SearchQuery) -> list[Test]:
    """One test per filter that is set, the cheapest first."""
    return [*_yes_or_no_tests(query), *_limit_tests(query), *_value_tests(query)]


def _yes_or_no_tests(query: SearchQuery) -> list[Test]:
    tests: list[Test] = []
    if query.fits_only:
        tests.append(lambda m: m.fit in ("fits", "tight"))
    if query.chat_ready_only:
        tests.append(lambda m: m.readiness.ok)
    return tests


def _limit_tests(query: SearchQuery) -> list[Test]:
    tests: list[Test] = []
    if query.min_downloads > 0:
        tests.append(lambda m: m.summary.downloads >= query.min_downloads)
    if query.min_likes > 0:
        tests.append(lambda m: m.summary.likes >= query.min_likes)
    most = query.max_weights_bytes
    if most is not None:
        tests.append(lambda m: _is_at_most(m.summary.weights_bytes, most))
    return tests


def _value_tests(query: SearchQuery) -> list[Test]:
    tests: list[Test] = []
    for name in ("model_type", "size_class", "quantization", "architecture"):
        if wanted := getattr(query, name):
            tests.append(_equals(name, wanted))
    if excluded := frozenset(query.exclude_architectures):
        tests.append(lambda m: m.summary.architecture not in excluded)
    if tags := frozenset(tag.lower() for tag in query.tags):
        tests.append(lambda m: tags <= {tag.lower() for tag in m.summary.tags})
    if words := query.text[:MAX_TEXT_CHARS].lower().split():
        tests.append(lambda m: all(word in m.haystack for word in words))
    return tests


def _is_at_most(size_bytes: int | None, most_bytes: int) -> bool:
    return size_bytes is not None and size_bytes <= most_bytes


def _equals(name: str, wanted: str) -> Test:
    if name == "quantization" and wanted in ("DWQ", "QAT"):
        return lambda m: wanted in m.summary.methods
    if name == "quantization" and wanted == "bf16/fp16":
        return lambda m: m.summary.quantization in ("bf16", "fp16")
    return lambda m: getattr(m.summary, name) == wanted


def _order(sort: str) -> Callable[[RankedModel], Any]:
    """Sort key; what is equal is ordered by downloads, then by name."""
    first: dict[str, Callable[[RankedModel], float]] = {
        "score": lambda m: -m.score.total,
        "downloads": lambda m: -m.summary.downloads,
        "likes": lambda m: -m.summary.likes,
        "trending": lambda m: -m.summary.trending,
        "newest": lambda m: -(m.summary.updated_at or 0.0),
        "size": lambda m: (
            float("inf") if m.summary.weights_bytes is None else m.summary.weights_bytes
        ),
    }
    key = first[sort]
    return lambda m: (key(m), -m.summary.downloads, m.summary.repo_id)


def haystack_of(model: ModelSummary) -> str:
    """What free text is looked for in: the name, its parts, the architecture and the tags."""
    return " ".join(
        (model.repo_id, model.architecture, model.quantization, *model.base_models, *model.tags)
    ).lower()
