"""What the owner chose once and for all, as JSON in the data folder."""

import dataclasses
import json
import logging
import os
import threading
from dataclasses import dataclass
from pathlib import Path

logger = logging.getLogger(__name__)

IDLE_CHOICES_MIN = (5, 15, 60)


@dataclass(frozen=True)
class Chosen:
    """``idle_unload_min``: minutes until an unused model leaves the memory, None is never."""

    idle_unload_min: int | None = None


class Preferences:
    """Reads the file once and writes it at every change. Safe to call from any thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._chosen = _read(path)

    @property
    def idle_unload_min(self) -> int | None:
        """Minutes until an unused model leaves the memory; None is never."""
        return self._chosen.idle_unload_min

    def choose(self, *, idle_unload_min: int | None) -> None:
        """Keep a choice. One that is not offered counts as never; an unwritable disk is logged."""
        with self._lock:
            chosen = _checked(idle_unload_min)
            if chosen == self._chosen:
                return
            self._chosen = chosen
            draft = self._path.with_suffix(".draft")
            try:
                draft.write_text(json.dumps(dataclasses.asdict(self._chosen)), encoding="utf-8")
                os.replace(draft, self._path)
            except OSError as error:
                logger.warning("the preferences could not be saved: %s", error.strerror)


def _read(path: Path) -> Chosen:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return Chosen()
    return _checked(value.get("idle_unload_min")) if isinstance(value, dict) else Chosen()


def _checked(minutes: object) -> Chosen:
    is_offered = isinstance(minutes, int) and minutes in IDLE_CHOICES_MIN
    return Chosen(minutes if is_offered and isinstance(minutes, int) else None)
