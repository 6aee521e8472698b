"""The list of models that comes with the app, for a start without the Hub.

What it does not know: what became of its models since it was made.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engine.hub.names import methods_from
from engine.records import ModelSummary

CATALOGUE = Path(__file__).resolve().parents[2] / "assets" / "catalogue.json"
BUDGET_SHARE = 0.65
WEIGHTS_SHARE = 0.85


@dataclass(frozen=True)
class Pick:
    """A good first model, and why, in a sentence."""

    repo_id: str
    reason: str
    weights_bytes: int


@dataclass(frozen=True)
class Bundled:
    """The list as it was in the month ``as_of`` ("2026-11").

    ``configs`` holds the layer sizes that memory is reckoned from, by repo id and named as in
    config.json, where they are known; ``picks`` the good first models by a machine's memory in
    GB, rising.
    """

    as_of: str
    summaries: tuple[ModelSummary, ...]
    configs: Mapping[str, Mapping[str, Any]]
    picks: dict[int, tuple[Pick, ...]]

    @property
    def as_of_at(self) -> float:
        """The start of that month in Unix seconds."""
        return datetime.strptime(self.as_of, "%Y-%m").replace(tzinfo=UTC).timestamp()


def load_bundled(path: Path = CATALOGUE) -> Bundled:
    """Read the list; every call reads the file, so keep what it returns.

    The file belongs to the app, so a broken one raises whatever its reading raises.
    """
    raw = json.loads(path.read_text(encoding="utf-8"))
    summaries = tuple(_summary(entry) for entry in raw["models"])
    sizes = {summary.repo_id: summary.weights_bytes or 0 for summary in summaries}
    return Bundled(
        as_of=raw["as_of"],
        summaries=summaries,
        configs={entry["repo_id"]: _config(entry) for entry in raw["models"] if "config" in entry},
        picks={
            int(memory_gb): tuple(
                Pick(pick["repo_id"], pick["reason"], sizes[pick["repo_id"]]) for pick in picks
            )
            for memory_gb, picks in raw["good_first_models"].items()
        },
    )


def picks_for(bundled: Bundled, memory_budget_bytes: int) -> tuple[Pick, ...]:
    """Good first models for a machine whose models may take ``memory_budget_bytes`` together.

    A budget is about two thirds of a machine's memory (Metal's working set, three quarters on a
    CPU), so a size is served from 0.65 of it on. What would leave no room for a chat is left out;
    below the smallest size that may be all of it.
    """
    served = [gb for gb in sorted(bundled.picks) if gb * 1e9 * BUDGET_SHARE <= memory_budget_bytes]
    memory_gb = served[-1] if served else min(bundled.picks, default=0)
    most_bytes = memory_budget_bytes * WEIGHTS_SHARE
    return tuple(p for p in bundled.picks.get(memory_gb, ()) if p.weights_bytes <= most_bytes)


def _summary(entry: Mapping[str, Any]) -> ModelSummary:
    return ModelSummary(
        repo_id=entry["repo_id"],
        model_type=entry["model_type"],
        library="mlx",
        architecture=entry["architecture"],
        quantization=entry["quantization"],
        bits=float(entry["bits"]),
        methods=methods_from(entry["repo_id"], ()),
        parameters=entry["parameters"],
        weights_bytes=entry["weights_bytes"],
        context_tokens=entry.get("context_tokens"),
        downloads=entry.get("downloads", 0),
        license=entry["license"],
        tags=("mlx",),
        has_chat_template=entry.get("has_chat_template"),
        guessed=("weights_bytes",) if entry.get("is_estimate") else (),
    )


def _config(entry: Mapping[str, Any]) -> dict[str, Any]:
    config = {"model_type": entry["architecture"], **entry["config"]}
    if context_tokens := entry.get("context_tokens"):
        config["max_position_embeddings"] = context_tokens
    return config
