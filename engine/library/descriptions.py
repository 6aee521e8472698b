"""What the library tells of a folder, remembered until something in it changes.

Reading a thousand configs takes most of a second, asking the system for the sizes and times of
their files a twentieth of that. A list may rest on what is remembered; a load never does.
"""

import os
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from engine.errors import EngineError
from engine.library.condition import find_problem
from engine.library.folder import FolderFacts, blockers_of, describe_folder, suggested_sampling
from engine.library.measured import corrected_memory
from engine.library.memory import context_tokens, estimate_memory
from engine.library.metadata import METADATA_NAME, Metadata, read_metadata
from engine.library.safetensors import check_length
from engine.library.sources import Place
from engine.library.usage import Usage
from engine.records import LocalModel, MemoryEstimate

MAX_ENTRIES = 5_000
_TRIES = 3
_TICK_NS = 100_000_000
_TEMPLATES_NAME = "additional_chat_templates"

Stamp = tuple[tuple[str, int, int, int, int], ...]


@dataclass(frozen=True)
class Description:
    """One folder as its files describe it. ``facts`` without texts, None when it is damaged."""

    model: LocalModel
    metadata: Metadata | None
    facts: FolderFacts | None

    def model_for(
        self,
        architectures: Collection[str],
        budget_bytes: int | None,
        usage: Usage,
        *,
        on_cpu: bool = False,
    ) -> LocalModel:
        """The model on a machine with this budget, with what using it has shown."""
        facts, model = self.facts, self.model
        memory = self._memory_on_cpu if on_cpu else self._memory
        memory = memory and memory.within(budget_bytes)
        corrected: MemoryEstimate | None = None
        if facts is not None:
            usage = usage.with_weights(facts.weights_bytes)
            corrected = corrected_memory(
                facts.config, facts.weights_bytes, budget_bytes, usage, on_cpu=on_cpu
            )
        return replace(
            model,
            memory=memory,
            corrected_memory=corrected,
            blockers=blockers_of(facts, architectures) if facts else (),
            last_used_at=usage.last_used_at,
            times_used=usage.times_used,
            decode_per_s=usage.decode_per_s,
            measured_memory_bytes=usage.measured_memory_bytes,
            measured_context_tokens=usage.measured_context_tokens,
        )

    @cached_property
    def _memory(self) -> MemoryEstimate | None:
        return self._estimate(on_cpu=False)

    @cached_property
    def _memory_on_cpu(self) -> MemoryEstimate | None:
        return self._estimate(on_cpu=True)

    def _estimate(self, *, on_cpu: bool) -> MemoryEstimate | None:
        facts = self.facts
        if facts is None:
            return None
        return estimate_memory(facts.config, facts.weights_bytes, None, on_cpu=on_cpu)


class Descriptions:
    """Descriptions by folder. Safe to use from any thread."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[Stamp, Description]] = {}
        self._lock = threading.Lock()

    def describe(self, place: Place) -> Description:
        """A folder's description, read again only when a name, a size or a time has changed."""
        stamp = _stamp_of(place.path)
        with self._lock:
            known = self._known.get(place.path)
        if known and known[0] == stamp and known[1].model.repo_id == place.repo_id:
            return known[1]
        stamp, description = _read_steadily(place, stamp)
        if _is_settled(stamp):
            with self._lock:
                self._known[place.path] = stamp, description
        return description

    def keep_only(self, paths: Collection[Path]) -> None:
        """Forget what is no longer there."""
        with self._lock:
            self._known = {path: known for path, known in self._known.items() if path in paths}


def _stamp_of(folder: Path) -> Stamp:
    """Name, size, times and inode of each file in a folder, and of the folder itself."""
    found = [*_entries(folder, ""), *_entries(folder / _TEMPLATES_NAME, f"{_TEMPLATES_NAME}/")]
    return tuple(sorted(found))


def _is_settled(stamp: Stamp) -> bool:
    """Whether a change from now on must show: files written in one tick of the clock look alike."""
    return max((max(entry[2:4]) for entry in stamp), default=0) < time.time_ns() - _TICK_NS


def _entries(folder: Path, prefix: str) -> list[tuple[str, int, int, int, int]]:
    found = []
    try:
        found.append(_entry(prefix, os.stat(folder), is_file=False))
        with os.scandir(folder) as entries:
            for entry in entries:
                if len(found) > MAX_ENTRIES:
                    break
                try:
                    is_file = entry.is_file()
                    found.append(_entry(prefix + entry.name, entry.stat(), is_file=is_file))
                except OSError:  # a link that leads nowhere
                    found.append((prefix + entry.name, -1, 0, 0, 0))
    except OSError:
        pass
    return found


def _entry(name: str, facts: os.stat_result, *, is_file: bool) -> tuple[str, int, int, int, int]:
    size = facts.st_size if is_file else -1
    return name, size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino


def _read_steadily(place: Place, stamp: Stamp) -> tuple[Stamp, Description]:
    """A description, and the stamp of what was read.

    What seems damaged is read again if it changed meanwhile: an update may just take its place.
    """
    for _ in range(_TRIES):
        read = stamp
        description = _read(place, {name: size for name, size, *_ in read if size >= 0})
        if not description.model.is_damaged or (stamp := _stamp_of(place.path)) == read:
            break
    return read, description


def _read(place: Place, sizes: dict[str, int]) -> Description:
    metadata = read_metadata(place.path) if METADATA_NAME in sizes else None
    present = sum(
        size for name, size in sizes.items()
        if name.startswith("model") and name.endswith(".safetensors")
    )  # fmt: skip
    model = LocalModel(
        repo_id=place.repo_id,
        source=place.source,
        path=place.path,
        revision=metadata.revision if metadata else place.revision,
        size_bytes=present,
        architecture="unknown",
        quantization="unknown",
        context_tokens=0,
        memory=None,
        is_repairable=place.source == "pomona" and _is_of(metadata, place.repo_id),
        downloaded_at=metadata.downloaded_at if metadata else None,
    )
    problem = find_problem(place.path, metadata, sizes) if metadata else ""
    try:
        facts = describe_folder(place.path, is_for_list=True)
        if metadata is None:  # no list of files says how long they should be
            for file in facts.weight_files:
                check_length(file)
    except EngineError as error:
        return Description(replace(model, problem=problem or error.message), metadata, None)
    suggested, has_suggestions = suggested_sampling(place.path)
    described = replace(
        model,
        problem=problem,
        size_bytes=facts.weights_bytes,
        architecture=facts.architecture,
        quantization=facts.quantization,
        context_tokens=context_tokens(facts.config),
        suggested=suggested,
        has_suggestions=has_suggestions,
    )
    return Description(described, metadata, _without_texts(facts))


def _is_of(metadata: Metadata | None, repo_id: str) -> bool:
    """Whether the facts beside a model are of the repo whose name its folder bears."""
    return metadata is not None and metadata.repo_id == repo_id


def _without_texts(facts: FolderFacts) -> FolderFacts:
    """Facts that a thousand models can be remembered by: a template is there or not."""
    config = {
        name: _without_layers(value) if name.startswith("quantization") else value
        for name, value in facts.config.items()
    }
    template = None if facts.template is None else ""
    return replace(facts, config=config, template=template)


def _without_layers(how: Any) -> Any:
    """How a model is packed, without what is said of single layers."""
    if not isinstance(how, dict):
        return how
    return {name: value for name, value in how.items() if not isinstance(value, dict | list)}
