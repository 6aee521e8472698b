"""Where usage is kept: beside Pomona's own models, and in one file for everybody else's.

Noting a use costs nothing: it is written a moment later, several at once, by a thread that lives
only that long. A place that cannot be written to is logged and costs no answer.
"""

import json
import logging
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.library.metadata import read_metadata, read_object, replace_file, update_usage
from engine.library.sources import Place
from engine.library.usage import Usage, usage_from_json, usage_to_json
from engine.records import GenerationStats

USAGE_NAME = "usage.json"
MAX_BYTES = 2_000_000
MAX_ENTRIES = 1_000
MAX_PENDING = 1_000
WRITE_DELAY_S = 2.0

_Change = Callable[[Usage], Usage | None]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Use:
    """One answer of a model."""

    repo_id: str
    now_at: float
    stats: GenerationStats | None


class UsageStore:
    """Usage by model. Safe to use from any thread.

    ``locate`` tells where a model is and how large its weights are, None when it is gone.
    """

    def __init__(
        self, data_dir: Path, locate: Callable[[str], tuple[Place, int | None] | None]
    ) -> None:
        self._data_dir = data_dir
        self._locate = locate
        self._pending: list[Use] = []
        self._being_written: list[Use] = []
        self._book: dict[str, Usage] | None = None
        self._timer: threading.Timer | None = None
        self._lock = threading.Lock()
        self._writing = threading.Lock()

    def record(self, use: Use) -> None:
        """Note a use; it is on disk a moment later."""
        with self._lock:
            if len(self._pending) < MAX_PENDING:
                self._pending.append(use)
            if self._timer is None:
                self._timer = threading.Timer(WRITE_DELAY_S, self.flush)
                self._timer.daemon = True
                self._timer.start()

    def usage_of(self, place: Place, beside: Usage | None, weights_bytes: int | None) -> Usage:
        """What is known of a model, with the uses not written yet. ``beside`` is its metadata's."""
        with self._lock:
            if self._book is None:
                self._book = _read_book(self._data_dir)
            usage = _newer(beside, self._book.get(_key(place)))
            unwritten = [*self._being_written, *self._pending]
        uses = [use for use in unwritten if use.repo_id == place.repo_id]
        return _after_all(usage, uses, weights_bytes)

    def forget(self, place: Place) -> None:
        """Drop what is known of a model that was deleted."""
        with self._writing:
            with self._lock:
                self._pending = [use for use in self._pending if use.repo_id != place.repo_id]
            self._change_book({_key(place): lambda _: None})

    def flush(self) -> None:
        """Write what has been noted; problems with the disk are logged."""
        with self._writing:
            with self._lock:
                self._timer = None
                self._being_written, self._pending = self._pending, []
            by_model: dict[str, list[Use]] = {}
            for use in self._being_written:
                by_model.setdefault(use.repo_id, []).append(use)
            changes: dict[str, _Change] = {}
            for repo_id, uses in by_model.items():
                changes |= self._write_beside(repo_id, uses)
            self._change_book(changes)
            with self._lock:
                self._being_written = []

    def close(self) -> None:
        """Write what has been noted, and end the timer."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
        self.flush()

    def _write_beside(self, repo_id: str, uses: list[Use]) -> dict[str, _Change]:
        """Write uses into the model's own folder, or say how the book is to change instead."""
        located = self._locate(repo_id)
        if located is None:
            return {}
        place, weights_bytes = located
        beside: Usage | None = None
        if place.source == "pomona":
            try:
                if update_usage(place.path, lambda usage: _after_all(usage, uses, weights_bytes)):
                    return {}
            except FileNotFoundError:
                return {}  # deleted since
            except OSError as error:
                logger.warning("the use of %s was not noted beside it: %s", repo_id, error.strerror)
                metadata = read_metadata(place.path)
                beside = metadata.usage if metadata else None
        return {_key(place): lambda usage: _after_all(_newer(beside, usage), uses, weights_bytes)}

    def _change_book(self, changes: Mapping[str, _Change]) -> None:
        """Change entries of the file as it is now: another Pomona may have written to it."""
        if not changes:
            return
        book = _read_book(self._data_dir)
        before = dict(book)
        for key, change in changes.items():
            usage = change(book.pop(key, Usage()))
            if usage is not None:
                book[key] = usage
        if book != before:
            _write_book(self._data_dir, book)
        with self._lock:
            self._book = book


def _key(place: Place) -> str:
    """Folders given on the command line share names easily, so they go by their paths."""
    return f"path {place.path}" if place.source == "path" else f"{place.source} {place.repo_id}"


def _after_all(usage: Usage, uses: list[Use], weights_bytes: int | None) -> Usage:
    if weights_bytes is not None:
        usage = usage.with_weights(weights_bytes)
    for use in uses:
        usage = usage.after(use.now_at, use.stats, weights_bytes)
    return usage


def _newer(beside: Usage | None, booked: Usage | None) -> Usage:
    """Of two: a models folder that could not be written to once has its latest uses in the book."""
    both = [usage for usage in (beside, booked) if usage is not None]
    return max(both, key=lambda usage: usage.last_used_at or 0.0, default=Usage())


def _read_book(folder: Path) -> dict[str, Usage]:
    try:
        folder_fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return {}
    try:
        raw = read_object(folder_fd, USAGE_NAME, MAX_BYTES) or {}
    finally:
        os.close(folder_fd)
    models = raw.get("models")
    if not isinstance(models, dict):
        return {}
    return {str(key): usage_from_json(value) for key, value in list(models.items())[-MAX_ENTRIES:]}


def _write_book(folder: Path, book: dict[str, Usage]) -> None:
    """The most recently used are kept when there are too many."""
    latest = sorted(book.items(), key=lambda item: item[1].last_used_at or 0.0)[-MAX_ENTRIES:]
    raw = {"format": 1, "models": {key: usage_to_json(usage) for key, usage in latest}}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder_fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            replace_file(folder_fd, USAGE_NAME, json.dumps(raw, indent=1).encode())
        finally:
            os.close(folder_fd)
    except OSError as error:
        logger.warning("usage.json was not written: %s", error.strerror)
