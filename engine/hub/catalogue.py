"""The catalogue: which models there are, from memory, the disk, the Hub or the bundled list.

A listing is fetched once per search text and kept; filters work on what is there. When the Hub
cannot be asked, the last good listing is shown with its age, and failing that the bundled one.
"""

import json
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

from engine.errors import Cancelled, HubError, RateLimited
from engine.hub.facts import summary_from_hub
from engine.hub.readiness import chat_readiness
from engine.hub.score import score_model
from engine.hub.search import MAX_TEXT_CHARS, RankedModel, cut, haystack_of, matching
from engine.patience import Cancel, OnWait, never, quietly
from engine.records import CatalogueSource, Fit, ModelSummary, SearchQuery

logger = logging.getLogger(__name__)

LISTING_LIMIT = 2000
SEARCH_LIMIT = 500
FRESH_S = 3600.0
REST_S = 30.0
LONGEST_REST_S = 3600.0
KEPT_LISTINGS = 32
KEPT_FILES = 64
_POLL_S = 0.1
_TAGS = ("mlx",)


class Lister(Protocol):
    """What the catalogue needs of the Hub."""

    def list_models(
        self, *, search: str = "", tags: Any = (), sort: str = "", limit: int = 500,
        cancel: Cancel = never, on_wait: OnWait = quietly,
    ) -> list[dict[str, Any]]:  # fmt: skip
        """Entries of the Hub's model listing."""


@dataclass(frozen=True)
class Machine:
    """What the ranking must know of this computer, and of what is installed on it.

    ``memory_of`` gives bytes and fit of a model, None and "unknown" where that cannot be said.
    """

    architectures: Collection[str]
    budget_bytes: int | None
    memory_of: Callable[[ModelSummary], tuple[int | None, Fit]]


@dataclass(frozen=True)
class Listing:
    """Models as they were known at ``fetched_at``; ``notice`` says why they may be old.

    ``ranked_for_bytes`` is the memory budget that fit and score were worked out for. Of a search,
    ``found`` is how many match before the limit, ``hidden`` how many more match its text alone.
    """

    source: CatalogueSource
    fetched_at: float
    models: tuple[RankedModel, ...]
    notice: str = ""
    ranked_for_bytes: int | None = None
    found: int = 0
    hidden: int = 0


class Catalogue:
    """Lists and searches models. Safe to call from any thread."""

    def __init__(
        self,
        hub: Lister,
        cache_dir: Path,
        bundled: Callable[[], tuple[float, tuple[ModelSummary, ...]]],
        machine: Callable[[], Machine],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._hub = hub
        self._folder = cache_dir / "listings"
        self._bundled = bundled
        self._machine = machine
        self._clock = clock
        self._lock = threading.Lock()
        self._fetch_locks: dict[str, threading.Lock] = {}
        self._listings: OrderedDict[str, Listing] = OrderedDict()
        self._failure: tuple[float, HubError] | None = None

    def search(
        self, query: SearchQuery, cancel: Cancel = never, on_wait: OnWait = quietly
    ) -> Listing:
        """Models that match ``query``. Asks the Hub at most once an hour per search text.

        Raises nothing for what the Hub does: then ``notice`` says what happened, and the models
        are the last ones known. Raises Cancelled.
        """
        return _narrowed(self.listing(query.text, cancel, on_wait), query)

    def peek(self, query: SearchQuery) -> Listing:
        """As search, but from what is on this computer alone; quick."""
        key = _key(query.text)
        listing = self._known(key) or self._known("")
        if listing is None:
            stored = self._read(key) or self._read("")
            listing = self._rank("cache", *stored) if stored else self._rank_bundled("")
        found = _narrowed(listing, query)
        return replace(found, source="cache", notice="") if found.source == "hub" else found

    def find(self, repo_id: str) -> ModelSummary | None:
        """What is known of one model without asking the Hub."""
        with self._lock:
            listings = list(self._listings.values())
        for listing in reversed(listings):
            for model in listing.models:
                if model.summary.repo_id == repo_id:
                    return model.summary
        return next((s for s in self._bundled()[1] if s.repo_id == repo_id), None)

    def listing(self, text: str, cancel: Cancel = never, on_wait: OnWait = quietly) -> Listing:
        """Everything known for a search text, ranked but not filtered. Raises Cancelled."""
        key = _key(text)
        with self._lock:
            fetch_lock = self._fetch_locks.setdefault(key, threading.Lock())
        while not fetch_lock.acquire(timeout=_POLL_S):
            if cancel():
                raise Cancelled()
        try:
            return self._listing(key, cancel, on_wait)
        finally:
            fetch_lock.release()
            with self._lock:
                self._fetch_locks.pop(key, None)

    def retry(self) -> None:
        """Ask the Hub again at the next search, even if it has just failed."""
        self._failure = None

    def _listing(self, key: str, cancel: Cancel, on_wait: OnWait) -> Listing:
        now_at = self._clock()
        known = self._known(key)
        if known and self._is_fresh(known.fetched_at, now_at) and known.source != "bundled":
            return Listing("cache", known.fetched_at, known.models, "")
        stored = self._read(key)
        if stored and self._is_fresh(stored[0], now_at):
            return self._keep(key, self._rank("cache", *stored))
        if self._failure and now_at < self._failure[0]:
            return self._fall_back(key, known, stored, self._failure[1])
        try:
            entries = self._hub.list_models(
                search=key, tags=_TAGS, sort="downloads",
                limit=SEARCH_LIMIT if key else LISTING_LIMIT, cancel=cancel, on_wait=on_wait,
            )  # fmt: skip
        except HubError as error:
            logger.info("the Hub could not be asked: %s", error)
            self._failure = (self._clock() + _rest_s(error), error)
            return self._fall_back(key, known, stored, error)
        self._write(key, now_at, entries)
        return self._keep(key, self._rank("hub", now_at, entries))

    def _known(self, key: str) -> Listing | None:
        """A listing in memory, ranked anew when the budget has become known since."""
        with self._lock:
            listing = self._listings.get(key)
        if listing is None or listing.ranked_for_bytes == self._machine().budget_bytes:
            return listing
        summaries = tuple(model.summary for model in listing.models)
        again = self._rank_summaries(listing.source, listing.fetched_at, summaries, listing.notice)
        return self._keep(key, again)

    def _fall_back(
        self,
        key: str,
        known: Listing | None,
        stored: tuple[float, list[Any]] | None,
        error: HubError,
    ) -> Listing:
        """The last good listing of this text, else of all models, else the bundled one."""
        if known and known.source != "bundled":
            return Listing("cache", known.fetched_at, known.models, error.text)
        if stored:
            return self._rank("cache", *stored, notice=error.text)
        if key:
            return self._fall_back("", self._known(""), self._read(""), error)
        return self._rank_bundled(error.text)

    def _rank_bundled(self, notice: str) -> Listing:
        as_of, summaries = self._bundled()
        return self._rank_summaries("bundled", as_of, summaries, notice)

    def _is_fresh(self, fetched_at: float, now_at: float) -> bool:
        return 0 <= now_at - fetched_at < FRESH_S

    def _keep(self, key: str, listing: Listing) -> Listing:
        with self._lock:
            self._listings[key] = listing
            self._listings.move_to_end(key)
            while len(self._listings) > KEPT_LISTINGS:
                self._listings.popitem(last=False)
        return listing

    def _rank(
        self, source: CatalogueSource, fetched_at: float, entries: list[Any], notice: str = ""
    ) -> Listing:
        summaries = (summary_from_hub(entry) for entry in entries if isinstance(entry, Mapping))
        return self._rank_summaries(
            source, fetched_at, tuple(s for s in summaries if s is not None), notice
        )

    def _rank_summaries(
        self,
        source: CatalogueSource,
        fetched_at: float,
        summaries: tuple[ModelSummary, ...],
        notice: str,
    ) -> Listing:
        machine, now_at = self._machine(), self._clock()
        models = tuple(rank_model(summary, machine, now_at) for summary in summaries)
        return Listing(source, fetched_at, models, notice, machine.budget_bytes)

    def _path(self, key: str) -> Path:
        return self._folder / f"{sha256(key.encode()).hexdigest()[:24]}.json"

    def _read(self, key: str) -> tuple[float, list[Any]] | None:
        """A stored listing, or None when there is none or it is broken."""
        try:
            stored = json.loads(self._path(key).read_text(encoding="utf-8"))
            return float(stored["fetched_at"]), list(stored["entries"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None

    def _write(self, key: str, fetched_at: float, entries: list[Any]) -> None:
        """Store a listing; a full disk costs only the cache."""
        path = self._path(key)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(".part")
            part.write_text(json.dumps({"fetched_at": fetched_at, "entries": entries}))
            part.replace(path)
            files = sorted(self._folder.glob("*.json"), key=lambda file: file.stat().st_mtime)
            for old in files[:-KEPT_FILES]:
                old.unlink(missing_ok=True)
        except OSError as error:
            logger.warning("the listing could not be stored: %s", error.strerror)


def _narrowed(listing: Listing, query: SearchQuery) -> Listing:
    """What of ``listing`` matches ``query``."""
    found = matching(listing.models, query)
    hidden = 0 if found else len(matching(listing.models, SearchQuery(text=query.text)))
    return replace(listing, models=tuple(cut(found, query)), found=len(found), hidden=hidden)


def _rest_s(error: HubError) -> float:
    """How long to leave the Hub alone after it failed: as long as it asked for, within reason."""
    asked_s = error.retry_after_s if isinstance(error, RateLimited) else 0.0
    return min(max(REST_S, asked_s), LONGEST_REST_S)


def _key(text: str) -> str:
    return " ".join(text[:MAX_TEXT_CHARS].lower().split())


def rank_model(summary: ModelSummary, machine: Machine, now_at: float) -> RankedModel:
    """Everything that can be said of a model on this machine."""
    memory_bytes, fit = machine.memory_of(summary)
    readiness = chat_readiness(summary, machine.architectures)
    return RankedModel(
        summary=summary,
        fit=fit,
        memory_bytes=memory_bytes,
        readiness=readiness,
        score=score_model(summary, fit, readiness, now_at),
        haystack=haystack_of(summary),
    )
