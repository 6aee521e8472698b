"""Discover: the Hub's facts put together with what this computer can do."""

import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from engine.errors import HubBroken, HubError, Offline, RateLimited
from engine.estimates import KVCacheSize, MemoryEstimate
from engine.hub import (
    Bundled,
    Catalogue,
    HubClient,
    Listing,
    Machine,
    Pick,
    RankedModel,
    download_bytes,
    load_bundled,
    picks_for,
    rank_model,
    summary_from_hub,
)
from engine.hub.readiness import chat_readiness
from engine.library import estimate_memory
from engine.library.float32 import float32_weights
from engine.library.memory import context_tokens
from engine.patience import Cancel, OnWait, never, quietly
from engine.records import Fit, ModelSummary, RepoFile, SearchQuery
from engine.settings import Settings

__all__ = ["Discover", "Inspection", "Listing", "Pick", "RankedModel"]

CONTEXTS_TOKENS = (2_048, 8_192, 32_768, 131_072)
MAX_CONFIG_BYTES = 2_000_000
MAX_README_BYTES = 200_000
_ROUGH_CACHE_SHARE = 0.1
_ROUGH_WORKING_BYTES = 400_000_000


@dataclass(frozen=True)
class Inspection:
    """One repo, looked at closely. ``memory`` has an estimate per context, in rising order.

    ``notice`` says why files, revision and card are missing, when the Hub could not be asked.
    """

    ranked: RankedModel
    revision: str
    files: tuple[RepoFile, ...]
    download_bytes: int
    memory: tuple[MemoryEstimate, ...]
    readme: str
    notice: str = ""

    @property
    def is_slow(self) -> bool:
        """Whether there is memory for it on this CPU, but not for its fastest form."""
        return bool(self.memory) and _usual(self.memory).is_slow


def _usual(memory: Sequence[MemoryEstimate]) -> MemoryEstimate:
    """The estimate for a usual chat's context, among those in rising order."""
    return memory[min(1, len(memory) - 1)]


class Discover:
    """Searches and inspects models. Safe to call from any thread."""

    def __init__(
        self,
        settings: Settings,
        client: HubClient,
        architectures: Callable[[], Collection[str]],
        budget_bytes: Callable[[], int | None],
        on_cpu: Callable[[], bool] = lambda: False,
    ) -> None:
        self._client = client
        self._architectures = architectures
        self._budget_bytes = budget_bytes
        self._on_cpu = on_cpu
        self._bundled: Bundled = load_bundled()
        self._catalogue = Catalogue(
            client,
            settings.cache_dir,
            lambda: (self._bundled.as_of_at, self._bundled.summaries),
            self._machine,
        )

    def close(self) -> None:
        """Close the connections to the Hub."""
        self._client.close()

    def search(
        self, query: SearchQuery, cancel: Cancel = never, on_wait: OnWait = quietly
    ) -> Listing:
        """Models that match; see Catalogue.search. ``on_wait`` is told of every pause."""
        return self._catalogue.search(query, cancel, on_wait)

    def peek(self, query: SearchQuery) -> Listing:
        """Models that match, from what is on this computer alone."""
        return self._catalogue.peek(query)

    def retry(self) -> None:
        """Ask the Hub again at the next search."""
        self._catalogue.retry()

    def picks(self) -> tuple[Pick, ...]:
        """Good first models for this computer's memory."""
        budget = self._budget_bytes()
        return picks_for(self._bundled, budget) if budget else ()

    def glance(self, repo_id: str) -> Inspection | None:
        """What is known of a repo without asking the Hub; None when that is nothing."""
        known = self._catalogue.find(repo_id)
        if known is None:
            return None
        return self._inspection(known, self._bundled.configs.get(repo_id, {}), "", (), "")

    def inspect(
        self, repo_id: str, cancel: Cancel = never, on_wait: OnWait = quietly
    ) -> Inspection:
        """Look at one repo: its files, its card, its memory at several contexts.

        Where the Hub cannot be asked, what is known already is returned with a ``notice``. Raises
        RepoNotFound, Gated and Cancelled, and the other HubErrors for a model of which nothing is
        known.
        """
        try:
            return self._look(repo_id, is_strict=False, cancel=cancel, on_wait=on_wait)
        except (Offline, RateLimited, HubBroken) as error:
            known = self.glance(repo_id)
            if known is None:
                raise
            return replace(known, notice=error.text)

    def examine(self, repo_id: str) -> Inspection:
        """Look at one repo as it is on the Hub now, without its card, before it is downloaded.

        Raises every HubError: also Gated, which other looks leave to whoever reads the files.
        """
        return self._look(repo_id, is_strict=True)

    def _look(
        self, repo_id: str, *, is_strict: bool, cancel: Cancel = never, on_wait: OnWait = quietly
    ) -> Inspection:
        raw, revision, files = self._client.repo(repo_id, cancel=cancel, on_wait=on_wait)
        summary = summary_from_hub(raw) or ModelSummary(repo_id)
        config = self._config(summary, revision, files, is_strict)
        if config is None:
            config, summary = {}, replace(summary, architecture="unknown")
        if isinstance(config.get("model_type"), str):
            summary = replace(summary, architecture=config["model_type"])
        summary = replace(
            summary,
            files=tuple(file.path for file in files),
            weights_bytes=_weights_bytes(files) or summary.weights_bytes,
            context_tokens=context_tokens(config) or summary.context_tokens,
        )
        readme = "" if is_strict else self._readme(summary, revision, files)
        found = self._inspection(summary, config, revision, files, readme)
        if not is_strict:
            return found
        readiness = chat_readiness(summary, self._architectures(), has_access=True)
        return replace(found, ranked=replace(found.ranked, readiness=readiness))

    def _inspection(
        self,
        summary: ModelSummary,
        config: Mapping[str, Any],
        revision: str,
        files: tuple[RepoFile, ...],
        readme: str,
    ) -> Inspection:
        memory = tuple(self._estimates(config, summary.weights_bytes))
        machine = self._machine()
        if memory:
            usual = _usual(memory)
            machine = replace(machine, memory_of=lambda _: (usual.total_bytes, usual.fit))
        return Inspection(
            ranked=rank_model(summary, machine, time.time()),
            revision=revision,
            files=files,
            download_bytes=download_bytes(files) or summary.weights_bytes or 0,
            memory=memory,
            readme=readme,
        )

    def _machine(self) -> Machine:
        return Machine(self._architectures(), self._budget_bytes(), self._memory_of)

    def _memory_of(self, summary: ModelSummary) -> tuple[int | None, Fit]:
        """The estimate from the bundled config where there is one, otherwise a rough one.

        The Hub's listing has no layer sizes: then a tenth of the weights and 0.4 GB stand for KV
        cache and working memory, which is what 4-bit models of 3 to 30 billion parameters take at
        a usual context. Inspecting a model reads its config and gives the real estimate.
        """
        if summary.weights_bytes is None:
            return None, "unknown"
        budget = self._budget_bytes()
        config = self._bundled.configs.get(summary.repo_id)
        if config is not None:
            estimate = estimate_memory(config, summary.weights_bytes, budget, on_cpu=self._on_cpu())
            if estimate.total_bytes is not None:
                return estimate.total_bytes, estimate.fit
        rough = _rough_memory(summary.weights_bytes, summary, self._on_cpu()).within(budget)
        return rough.total_bytes, rough.fit

    def _estimates(
        self, config: Mapping[str, Any], weights_bytes: int | None
    ) -> list[MemoryEstimate]:
        if weights_bytes is None or not config:
            return []
        budget = self._budget_bytes()
        found: dict[int, MemoryEstimate] = {}
        for context in CONTEXTS_TOKENS:
            estimate = estimate_memory(
                config, weights_bytes, budget, context, on_cpu=self._on_cpu()
            )
            if estimate.total_bytes is not None:
                found.setdefault(estimate.context_tokens, estimate)
        return list(found.values())

    def _config(
        self, summary: ModelSummary, revision: str, files: tuple[RepoFile, ...], is_strict: bool
    ) -> Mapping[str, Any] | None:
        """The repo's config.json; empty when it has none or it cannot be had, None if it is none.

        Raises HubErrors when ``is_strict``.
        """
        if not any(file.path == "config.json" for file in files):
            return {}
        try:
            text = self._client.read_text(
                summary.repo_id, revision, "config.json", MAX_CONFIG_BYTES
            )
        except HubError:
            if is_strict:
                raise
            return self._bundled.configs.get(summary.repo_id, {})
        try:
            config = json.loads(text)
        except (ValueError, RecursionError):
            return None
        return config if isinstance(config, dict) else None

    def _readme(self, summary: ModelSummary, revision: str, files: tuple[RepoFile, ...]) -> str:
        name = next((f.path for f in files if f.path.lower() == "readme.md"), None)
        if name is None:
            return ""
        try:
            return self._client.read_text(
                summary.repo_id, revision, name, MAX_README_BYTES, truncate=True
            )
        except HubError:
            return ""


def _weights_bytes(files: tuple[RepoFile, ...]) -> int:
    return sum(
        file.size_bytes
        for file in files
        if file.path.startswith("model") and file.path.endswith(".safetensors")
    )


def _rough_memory(weights_bytes: int, summary: ModelSummary, on_cpu: bool) -> MemoryEstimate:
    """What a model takes as far as its bytes and bits say; see Discover._memory_of."""
    cache_bytes = int(weights_bytes * _ROUGH_CACHE_SHARE)
    narrow = MemoryEstimate(
        weights_bytes, KVCacheSize(cache_bytes, 0), 0, _ROUGH_WORKING_BYTES, None
    )
    if not on_cpu:
        return narrow
    how = {"bits": round(summary.bits or 0), "mode": summary.quantization}
    if how["mode"] not in ("mxfp4", "mxfp8", "nvfp4"):
        del how["mode"]
    wide_bytes, unpacked_bytes = float32_weights({"quantization": how}, weights_bytes)
    cache = KVCacheSize(2 * cache_bytes, 0)
    return MemoryEstimate(wide_bytes, cache, 0, _ROUGH_WORKING_BYTES, None, unpacked_bytes, narrow)
