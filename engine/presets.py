"""Presets: a system prompt and sampling settings under a name, as JSON in the data folder.

The same form goes out to a file and comes in from one. Whatever is read is checked value by value;
a file that cannot be read is kept aside under another name.
"""

import contextlib
import json
import logging
import os
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine.errors import EngineError, InvalidRequest, PresetFailed
from engine.foreign_json import parse_json, read_json_file, writable
from engine.records import SamplingParams
from engine.sampling_json import params_from_json, params_to_json

MAX_PRESETS = 100
MAX_NAME_CHARS = 60
MAX_FILE_BYTES = 8_000_000
FORMAT = "pomona-presets"
FORMAT_VERSION = 1
_FOREIGN_HINT = "Pomona reads the presets that it exports."

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Preset:
    """Settings under a name."""

    name: str
    params: SamplingParams


class Presets:
    """Reads the file once and writes it at every change. Safe to call from any thread.

    ``problem`` is a sentence on what was wrong with the file at the start. Changes raise
    PresetFailed when the disk refuses, and then nothing has changed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._presets, self.problem = _read_or_put_aside(path)

    def tell_problem(self) -> str:
        """The problem of the start, to the first who asks; nothing from then on."""
        with self._lock:
            told, self.problem = self.problem, ""
        return told

    def list(self) -> tuple[Preset, ...]:
        """All of them by name, whatever the case."""
        with self._lock:
            return tuple(sorted(self._presets.values(), key=lambda one: one.name.casefold()))

    def find(self, name: str) -> Preset:
        """One by its name. Raises PresetFailed when there is none."""
        with self._lock:
            found = self._presets.get(name)
        if found is None:
            raise PresetFailed("This preset is not there any more.", "Choose another one.")
        return found

    def save(self, name: str, params: SamplingParams) -> Preset:
        """Keep settings under a name, in the place of what was kept under it.

        Raises PresetFailed, and InvalidRequest for settings that no request could carry.
        """
        preset = Preset(_checked_name(writable(name)), _checked(params_to_json(params)))
        self._change([preset])
        return preset

    def delete(self, name: str) -> None:
        """Take one away; nothing happens when there is none."""
        with self._lock:
            rest = {one: preset for one, preset in self._presets.items() if one != name}
            self._write(rest)

    def bring(self, presets: Sequence[Preset]) -> int:
        """Keep presets from elsewhere; a name that is taken gets a number. How many there were."""
        with self._lock:
            names = set(self._presets)
        fresh = []
        for preset in presets:
            name = _free_name(preset.name, names)
            names.add(name)
            fresh.append(replace(preset, name=name))
        self._change(fresh)
        return len(fresh)

    def _change(self, presets: Sequence[Preset]) -> None:
        with self._lock:
            changed = {**self._presets, **{preset.name: preset for preset in presets}}
            if len(changed) > MAX_PRESETS:
                raise PresetFailed(
                    f"There may be {MAX_PRESETS} presets.", "Delete one that you do not need."
                )
            self._write(changed)

    def _write(self, presets: dict[str, Preset]) -> None:
        """Put the whole file in place, or leave everything as it was. Under the lock."""
        draft = self._path.with_suffix(".draft")
        text = export_presets(list(presets.values()))
        if len(text.encode()) > MAX_FILE_BYTES:
            raise PresetFailed(
                f"All presets together may have {MAX_FILE_BYTES / 1e6:.0f} MB.",
                "Shorten a system prompt, or delete a preset.",
            )
        try:
            draft.write_text(text, encoding="utf-8")
            os.replace(draft, self._path)
        except OSError as error:
            raise PresetFailed(
                f"The presets could not be saved: {error.strerror}.", "Make room, and try again."
            ) from error
        self._presets = presets


def export_presets(presets: Sequence[Preset]) -> str:
    """Presets as the text of a JSON file."""
    value = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "presets": [
            {"name": preset.name, "settings": params_to_json(preset.params)} for preset in presets
        ],
    }
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"


def read_presets(path: Path) -> tuple[Preset, ...]:
    """The presets of a file, at least one. Raises PresetFailed."""
    found = parse_presets(read_json_file(path, PresetFailed, MAX_FILE_BYTES))
    if not found:
        raise PresetFailed("There is no preset in this file.", _FOREIGN_HINT)
    return found


def parse_presets(text: str) -> tuple[Preset, ...]:
    """The presets of a text. Raises PresetFailed for anything that we would not have written."""
    value = parse_json(text.removeprefix("\ufeff"), PresetFailed)
    if not isinstance(value, Mapping) or value.get("format") != FORMAT:
        raise PresetFailed("This file holds no presets.", _FOREIGN_HINT)
    version, entries = value.get("version"), value.get("presets")
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise PresetFailed("These presets are from a newer Pomona.", "Update this one.")
    if not isinstance(entries, list) or len(entries) > MAX_PRESETS:
        raise PresetFailed(f"A file may hold {MAX_PRESETS} presets.", _FOREIGN_HINT)
    return tuple(_preset(entry) for entry in entries)


def _preset(entry: Any) -> Preset:
    if not isinstance(entry, Mapping) or not isinstance(entry.get("name"), str):
        raise PresetFailed("A preset of this file has no name.", _FOREIGN_HINT)
    name = _checked_name(writable(entry["name"]))
    try:
        return Preset(name, _checked(entry.get("settings")))
    except InvalidRequest as error:
        raise PresetFailed(f"The preset “{name}” cannot be used: {error.message}") from error


def _checked(settings: object) -> SamplingParams:
    """Settings that the panel has, every text of them fit for a file. Raises InvalidRequest."""
    params = params_from_json(settings)
    stop = tuple(writable(one) for one in params.stop)
    system_prompt = writable(params.system_prompt)
    return replace(params, system_prompt=system_prompt, stop=stop, logprobs=None)


def _checked_name(name: str) -> str:
    """A name on one line. Raises PresetFailed for none."""
    line = " ".join(name.split())[:MAX_NAME_CHARS].strip()
    if not line or not line.isprintable():
        raise PresetFailed("A preset needs a name.", "Write one into the field.")
    return line


def _free_name(name: str, taken: set[str]) -> str:
    number, free = 1, name
    while free in taken:
        number += 1
        ending = f" {number}"
        free = name[: MAX_NAME_CHARS - len(ending)] + ending
    return free


def _read_or_put_aside(path: Path) -> tuple[dict[str, Preset], str]:
    if not path.exists():
        return {}, ""
    try:
        found = parse_presets(read_json_file(path, PresetFailed, MAX_FILE_BYTES))
        return {preset.name: preset for preset in found}, ""
    except EngineError as error:
        logger.warning("%s cannot be read: %s", path, error)
    aside = path.with_name(f"{path.name}.broken-{time.strftime('%Y%m%d-%H%M%S')}")
    with contextlib.suppress(OSError):
        path.rename(aside)
    return {}, f"The saved presets could not be read. They are kept as {aside.name}."
