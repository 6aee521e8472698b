"""What the owner chose once and for all, as JSON in the data folder."""

import dataclasses
import json
import logging
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

logger = logging.getLogger(__name__)

IDLE_CHOICES_MIN = (5, 15, 60)
PLAIN_KV_BITS = 16
PACKED_KV_BITS = (8, 4)
MAX_MODELS = 1_000


@dataclass(frozen=True)
class Chosen:
    """``idle_unload_min``: minutes until an unused model leaves the memory, None is never.

    ``kv_bits`` by model: how many bits a value of its cache takes, where that is not 16.
    ``drafts`` by model: the smaller model that guesses its words.
    """

    idle_unload_min: int | None = None
    kv_bits: Mapping[str, int] = field(default_factory=dict)
    drafts: Mapping[str, str] = field(default_factory=dict)


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

    def kv_bits(self, repo_id: str) -> int:
        """Bits of a value in this model's cache; 16 stands for as the model has them."""
        return self._chosen.kv_bits.get(repo_id, PLAIN_KV_BITS)

    def draft(self, repo_id: str) -> str:
        """The model that guesses this one's words; empty for none."""
        return self._chosen.drafts.get(repo_id, "")

    def choose_draft(self, repo_id: str, draft_id: str) -> None:
        """Keep a choice for one model; an empty one is none."""
        with self._lock:
            others = {name: kept for name, kept in self._chosen.drafts.items() if name != repo_id}
            chosen = _drafts({**others, repo_id: draft_id})
            self._keep(dataclasses.replace(self._chosen, drafts=chosen))

    def choose(self, *, idle_unload_min: int | None) -> None:
        """Keep a choice. One that is not offered counts as never; an unwritable disk is logged."""
        with self._lock:
            self._keep(dataclasses.replace(self._chosen, idle_unload_min=_minutes(idle_unload_min)))

    def choose_kv_bits(self, repo_id: str, bits: int) -> None:
        """Keep a choice for one model; one that is not offered counts as 16."""
        with self._lock:
            others = {name: kept for name, kept in self._chosen.kv_bits.items() if name != repo_id}
            self._keep(dataclasses.replace(self._chosen, kv_bits=_bits({**others, repo_id: bits})))

    def _keep(self, chosen: Chosen) -> None:
        if chosen == self._chosen:
            return
        self._chosen = chosen
        draft = self._path.with_suffix(".draft")
        try:
            draft.write_text(json.dumps(dataclasses.asdict(chosen)), encoding="utf-8")
            os.replace(draft, self._path)
        except OSError as error:
            logger.warning("the preferences could not be saved: %s", error.strerror)


def _read(path: Path) -> Chosen:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return Chosen()
    if not isinstance(value, dict):
        return Chosen()
    return Chosen(
        _minutes(value.get("idle_unload_min")),
        _bits(value.get("kv_bits")),
        _drafts(value.get("drafts")),
    )


def _minutes(minutes: object) -> int | None:
    return minutes if isinstance(minutes, int) and minutes in IDLE_CHOICES_MIN else None


def _bits(by_model: object) -> dict[str, int]:
    """Choices other than the usual one, the newest ones where there are too many."""
    named = by_model.items() if isinstance(by_model, dict) else ()
    found = {
        name: bits
        for name, bits in named
        if isinstance(name, str) and isinstance(bits, int) and bits in PACKED_KV_BITS
    }
    return dict(list(found.items())[-MAX_MODELS:])


def _drafts(by_model: object) -> dict[str, str]:
    """As _bits, of names."""
    named = by_model.items() if isinstance(by_model, dict) else ()
    found = {
        name: draft
        for name, draft in named
        if isinstance(name, str) and isinstance(draft, str) and draft
    }
    return dict(list(found.items())[-MAX_MODELS:])
