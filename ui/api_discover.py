"""The endpoints /search and /inspect: queries in, plain JSON values out."""

import dataclasses
from collections.abc import Collection
from typing import Any, get_args

from engine import Engine
from engine.discover import RankedModel
from engine.errors import InvalidRequest
from engine.records import SearchQuery, Sort

_TEXTS = ("text", "model_type", "size_class", "quantization", "architecture")
_LISTS = ("exclude_architectures", "tags")
_COUNTS = ("min_downloads", "min_likes", "limit")
_SWITCHES = ("fits_only", "chat_ready_only")
_NAMES = {field.name for field in dataclasses.fields(SearchQuery)}


class DiscoverApi:
    """One method per endpoint."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def search(self, query: dict[str, Any]) -> dict[str, Any]:
        """Search models; every key of ``query`` is optional."""
        self._engine.inference.device_facts()
        listing = self._engine.discover.search(parse_query(query))
        installed = self._engine.library.names()
        return {
            "source": listing.source,
            "fetched_at": listing.fetched_at,
            "notice": listing.notice,
            "models": [_model(model, installed) for model in listing.models],
        }

    def inspect(self, repo_id: str) -> dict[str, Any]:
        """Look at one repo: its facts, files, memory at several contexts, and card."""
        self._engine.inference.device_facts()
        found = self._engine.discover.inspect(str(repo_id))
        installed = self._engine.library.names()
        return {
            **_model(found.ranked, installed),
            "revision": found.revision,
            "files": [{"path": f.path, "size_bytes": f.size_bytes} for f in found.files],
            "download_bytes": found.download_bytes,
            "memory": {str(e.context_tokens): e.total_bytes for e in found.memory},
            "license": found.ranked.summary.license,
            "readme": found.readme,
        }


def parse_query(raw: Any) -> SearchQuery:
    """A SearchQuery from JSON. Raises InvalidRequest that names the field at fault."""
    if not isinstance(raw, dict):
        raise InvalidRequest("query must be an object of filters.")
    if unknown := sorted(set(map(str, raw)) - _NAMES):
        raise InvalidRequest(
            f"There is no filter {unknown[0][:60]!r}.", f"Known: {', '.join(sorted(_NAMES))}."
        )
    given = {name: value for name, value in raw.items() if value is not None}
    for name, value in given.items():
        if not _is_valid(name, value):
            raise InvalidRequest(f"The filter {name} has a value of the wrong kind.")
    for name in _LISTS:
        if name in given:
            given[name] = tuple(given[name])
    return SearchQuery(**given)


def _is_valid(name: str, value: Any) -> bool:
    if name in _TEXTS:
        return isinstance(value, str)
    if name in _LISTS:
        return isinstance(value, list) and all(isinstance(entry, str) for entry in value)
    if name in _SWITCHES:
        return isinstance(value, bool)
    if name == "sort":
        return value in get_args(Sort)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0
    return is_number and (name not in _COUNTS or isinstance(value, int))


def _model(model: RankedModel, installed: Collection[str]) -> dict[str, Any]:
    facts = model.summary
    return {
        "repo_id": facts.repo_id,
        "score": model.score.total,
        "score_parts": model.score.parts,
        "model_type": facts.model_type,
        "size_class": facts.size_class,
        "parameters": facts.parameters,
        "quantization": facts.quantization,
        "bits": facts.bits,
        "architecture": facts.architecture,
        "downloads": facts.downloads,
        "likes": facts.likes,
        "trending": facts.trending,
        "updated_at": facts.updated_at,
        "weights_bytes": facts.weights_bytes,
        "memory_bytes": model.memory_bytes,
        "fit": model.fit,
        "chat_ready": model.readiness.ok,
        "blockers": list(model.readiness.blockers),
        "gated": facts.is_gated,
        "installed": facts.repo_id in installed,
    }
