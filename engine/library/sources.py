"""The places where models lie on this computer. Nothing here writes anywhere.

Models of other programs (the Hugging Face cache, LM Studio) are used where they are. A place that
is not there, like a models folder on a disk that is not plugged in, holds no models.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.library.metadata import METADATA_NAME
from engine.records import Source
from engine.settings import GUIDE_DIR, GUIDE_ID, Settings

DOWNLOADS_NAME = ".downloads"
PROGRAMS: dict[Source, str] = {
    "pomona": "Pomona",
    "built-in": "Pomona itself",
    "huggingface": "the Hugging Face cache",
    "lmstudio": "LM Studio",
    "path": "a folder given on the command line",
}
_CACHE_NAME = re.compile(r"^models--([^/]+?)--(.+)$")
_MAX_REF_BYTES = 256


@dataclass(frozen=True)
class Place:
    """A model's folder, and by which name and whose it is."""

    repo_id: str
    source: Source
    path: Path
    revision: str | None = None


def iter_places(settings: Settings) -> Iterator[Place]:
    """Every place, the Guide first; a name can come more than once, and the first one counts."""
    yield Place(GUIDE_ID, "built-in", GUIDE_DIR)
    for path in settings.extra_models:
        yield Place(path.name, "path", path)
    yield from _org_places(settings.models_dir, "pomona")
    for repo in _folders(settings.hf_cache_dir):
        if place := _cache_place(repo):
            yield place
    for folder in settings.lmstudio_dirs:
        yield from _org_places(folder, "lmstudio")


def find_place(settings: Settings, repo_id: str) -> Place | None:
    """The place that counts for a name; looks only where it can be."""
    if repo_id == GUIDE_ID:
        return Place(GUIDE_ID, "built-in", GUIDE_DIR)
    for path in settings.extra_models:
        if path.name == repo_id:
            return Place(repo_id, "path", path)
    if not is_repo_id(repo_id):
        return None
    org, name = repo_id.split("/")
    if place := _org_place(settings.models_dir, "pomona", org, name):
        return place
    repo = _child(settings.hf_cache_dir, f"models--{org}--{name}")
    place = _cache_place(repo) if repo else None
    if place and place.repo_id == repo_id:
        return place
    for folder in settings.lmstudio_dirs:
        if place := _org_place(folder, "lmstudio", org, name):
            return place
    return None


def is_repo_id(text: str) -> bool:
    """Whether this can be ``<org>/<name>``; says no to every way out of a folder."""
    parts = text.split("/")
    return len(parts) == 2 and all(is_shown(part) and len(part) <= 255 for part in parts)


def is_model(folder: Path) -> bool:
    """A folder with a config; or once downloaded, and then it is damaged without one."""
    return os.path.isfile(folder / "config.json") or os.path.isfile(folder / METADATA_NAME)


def is_shown(name: str) -> bool:
    """Hidden folders are downloads under way; a name that is not UTF-8 cannot be shown or sent."""
    return bool(name) and not name.startswith(".") and name.isprintable() and "/" not in name


def format_place(place: Place) -> str:
    """Where a model is, in words for a person, with the home folder as ``~``."""
    try:
        shown = f"~/{place.path.relative_to(Path.home())}"
    except (ValueError, RuntimeError):  # elsewhere, or nobody's home
        shown = str(place.path)
    return f"{PROGRAMS[place.source]} ({shown[-160:]})"


def entry_names(path: Path) -> list[str]:
    """Names in a folder, none when it cannot be read."""
    try:
        return os.listdir(path)
    except (OSError, ValueError):
        return []


def _folders(path: Path) -> list[Path]:
    names = sorted(name for name in entry_names(path) if is_shown(name))
    return [path / name for name in names if os.path.isdir(path / name)]


def _child(path: Path, name: str) -> Path | None:
    """The folder of exactly this name: some disks would find it by another spelling too."""
    is_there = name in entry_names(path) and os.path.isdir(path / name)
    return path / name if is_there else None


def _org_places(root: Path, source: Source) -> Iterator[Place]:
    """``<org>/<name>`` folders that hold a model."""
    for org in _folders(root):
        for folder in _folders(org):
            if is_model(folder):
                yield Place(f"{org.name}/{folder.name}", source, folder)


def _org_place(root: Path, source: Source, org: str, name: str) -> Place | None:
    org_folder = _child(root, org)
    folder = _child(org_folder, name) if org_folder else None
    return Place(f"{org}/{name}", source, folder) if folder and is_model(folder) else None


def _cache_place(repo: Path) -> Place | None:
    """The MLX-loadable snapshot of a repo in the Hub's cache, that of ``refs/main`` if it can be.

    That one may hold a config alone, when somebody only looked at a newer revision.
    """
    match = _CACHE_NAME.match(repo.name)
    if match is None:
        return None
    try:
        with (repo / "refs" / "main").open("rb") as file:
            revision = file.read(_MAX_REF_BYTES).decode().strip()
    except (OSError, UnicodeDecodeError):
        revision = ""
    snapshots = _folders(repo / "snapshots")
    snapshots.sort(key=lambda snapshot: snapshot.name == revision)
    for snapshot in reversed(snapshots):
        names = entry_names(snapshot)
        has_weights = any(n.startswith("model") and n.endswith(".safetensors") for n in names)
        if has_weights and os.path.isfile(snapshot / "config.json"):
            return Place(f"{match[1]}/{match[2]}", "huggingface", snapshot, snapshot.name)
    return None
