"""The library: which models are on this computer, wherever they came from.

Models of other programs (the Hugging Face cache, LM Studio) are listed and used in place; nothing
here ever writes to their folders.
"""

import os
import re
import threading
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from engine.errors import EngineError, NotInstalled
from engine.library.folder import (
    blockers_of,
    check_folder,
    describe_folder,
    suggested_sampling,
)
from engine.library.memory import context_tokens, estimate_memory
from engine.records import CheckedModel, LocalModel, Source
from engine.settings import GUIDE_DIR, GUIDE_ID, Settings

_CACHE_NAME = re.compile(r"^models--([^/]+?)--(.+)$")


class Library:
    """Lists and finds installed models. Safe to call from any thread."""

    def __init__(
        self,
        settings: Settings,
        architectures: Callable[[], Collection[str]],
        budget_bytes: Callable[[], int | None],
    ) -> None:
        self._settings = settings
        self._architectures = architectures
        self._budget_bytes = budget_bytes
        self._last_used: dict[str, float] = {}
        self._lock = threading.Lock()

    def list(self) -> list[LocalModel]:
        """Every model found, the Guide first; of two with one name, the first source wins."""
        models: dict[str, LocalModel] = {}
        for repo_id, source, path, revision in self._places():
            if len(models) >= self._settings.limits.scan_models:
                break
            if repo_id not in models:
                models[repo_id] = self._describe(repo_id, source, path, revision)
        return list(models.values())

    def names(self) -> set[str]:
        """Names of the models found, without reading what is in their folders."""
        return {repo_id for repo_id, *_ in self._places()}

    def find(self, repo_id: str) -> LocalModel:
        """One model by name. Raises NotInstalled."""
        for found, source, path, revision in self._places():
            if found == repo_id:
                return self._describe(repo_id, source, path, revision)
        raise NotInstalled(
            f"There is no model “{repo_id[:96]}” on this computer.",
            "Choose one from the list, or download it in Discover.",
        )

    def check(self, repo_id: str) -> CheckedModel:
        """A model fit to be loaded. Raises NotInstalled, Damaged and Unsupported."""
        model = self.find(repo_id)
        facts = check_folder(model.path, self._architectures())
        return CheckedModel(
            repo_id=repo_id,
            path=model.path,
            estimate=estimate_memory(facts.config, facts.weights_bytes, self._budget_bytes()),
            context_tokens=context_tokens(facts.config),
            template=facts.template,
        )

    def mark_used(self, repo_id: str, now_at: float) -> None:
        """Note that somebody talked to this model."""
        with self._lock:
            self._last_used[repo_id] = now_at

    def _places(self) -> Iterator[tuple[str, Source, Path, str | None]]:
        yield GUIDE_ID, "built-in", GUIDE_DIR, None
        for path in self._settings.extra_models:
            yield path.name, "path", path, None
        for name, path in _org_folders(self._settings.models_dir):
            yield name, "pomona", path, None
        yield from _hf_cache_models(self._settings.hf_cache_dir)
        for folder in self._settings.lmstudio_dirs:
            for name, path in _org_folders(folder):
                yield name, "lmstudio", path, None

    def _describe(
        self, repo_id: str, source: Source, path: Path, revision: str | None
    ) -> LocalModel:
        with self._lock:
            last_used_at = self._last_used.get(repo_id)
        try:
            facts = describe_folder(path)
        except EngineError as error:
            return LocalModel(
                repo_id, source, path, revision, 0, "unknown", "unknown", 0, None,
                problem=error.message, last_used_at=last_used_at,
            )  # fmt: skip
        suggested, has_suggestions = suggested_sampling(path)
        return LocalModel(
            repo_id=repo_id,
            source=source,
            path=path,
            revision=revision,
            size_bytes=facts.weights_bytes,
            architecture=facts.architecture,
            quantization=facts.quantization,
            context_tokens=context_tokens(facts.config),
            memory=estimate_memory(facts.config, facts.weights_bytes, self._budget_bytes()),
            blockers=blockers_of(facts, self._architectures()),
            last_used_at=last_used_at,
            suggested=suggested,
            has_suggestions=has_suggestions,
        )


def _folders(path: Path) -> list[Path]:
    try:
        return sorted(
            entry for entry in path.iterdir() if _is_shown(entry.name) and os.path.isdir(entry)
        )
    except OSError:
        return []


def _is_shown(name: str) -> bool:
    """Hidden folders are downloads under way; a name that is not UTF-8 cannot be shown or sent."""
    return not name.startswith(".") and name.isprintable()


def _org_folders(root: Path) -> Iterator[tuple[str, Path]]:
    """``<org>/<name>`` folders that hold a config."""
    for org in _folders(root):
        for folder in _folders(org):
            if os.path.isfile(folder / "config.json"):
                yield f"{org.name}/{folder.name}", folder


def _hf_cache_models(root: Path) -> Iterator[tuple[str, Source, Path, str | None]]:
    """MLX-loadable snapshots of the Hub's cache, the one that ``refs/main`` names where it can.

    That one may hold a config alone, when somebody only looked at a newer revision.
    """
    for repo in _folders(root):
        match = _CACHE_NAME.match(repo.name)
        if match is None:
            continue
        try:
            revision = (repo / "refs" / "main").read_text().strip()
        except (OSError, UnicodeDecodeError):
            revision = ""
        snapshots = _folders(repo / "snapshots")
        snapshots.sort(key=lambda snapshot: snapshot.name == revision)
        for snapshot in reversed(snapshots):
            if os.path.isfile(snapshot / "config.json") and any(
                snapshot.glob("model*.safetensors")
            ):
                yield f"{match[1]}/{match[2]}", "huggingface", snapshot, snapshot.name
                break
