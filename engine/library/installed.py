"""The library: which models are on this computer, wherever they came from.

Models of other programs (the Hugging Face cache, LM Studio) are listed and used in place; nothing
here ever writes to their folders.
"""

import threading
from collections.abc import Callable, Collection
from pathlib import Path

from engine.errors import Damaged, InUse, ModelError, NotInstalled
from engine.library.condition import REPAIR_HINT, find_problem
from engine.library.delete import clean_trash, execute_delete, plan_delete
from engine.library.descriptions import Description, Descriptions
from engine.library.drafts import can_draft, has_same_words
from engine.library.folder import check_folder, weights_id
from engine.library.hub_blobs import find_blob
from engine.library.measured import corrected_memory, load_estimate
from engine.library.memory import context_tokens, estimate_memory, kv_choices
from engine.library.metadata import Metadata, read_metadata
from engine.library.sources import (
    PROGRAMS,
    Place,
    find_place,
    format_place,
    is_model,
    is_repo_id,
    iter_places,
)
from engine.library.usage import Usage
from engine.library.usage_store import UsageStore, Use
from engine.library.verify import wrong_paths
from engine.patience import never
from engine.records import CheckedModel, DeletePlan, GenerationStats, LocalModel, RepoFile
from engine.settings import Settings


def never_in_use(_repo_id: str) -> str | None:
    """Says of every model that nobody uses it."""
    return None


class Library:
    """Lists, finds, checks and deletes installed models. Safe to call from any thread.

    ``is_in_use`` gives the sentence why a model must not be deleted now, None when it may;
    ``on_cpu`` says whether models run on a CPU, where they take more memory for speed.
    """

    def __init__(
        self,
        settings: Settings,
        architectures: Callable[[], Collection[str]],
        budget_bytes: Callable[[], int | None],
        is_in_use: Callable[[str], str | None] = never_in_use,
        on_cpu: Callable[[], bool] = lambda: False,
    ) -> None:
        self._settings = settings
        self._architectures = architectures
        self._budget_bytes = budget_bytes
        self._is_in_use = is_in_use
        self._on_cpu = on_cpu
        self._descriptions = Descriptions()
        self._usage = UsageStore(settings.data_dir, self._locate)
        self._deleting = threading.Lock()

    def list(self) -> list[LocalModel]:
        """Every model found, the Guide first; of two with one name, the first source wins."""
        places: dict[str, Place] = {}
        for place in iter_places(self._settings):
            if len(places) >= self._settings.limits.scan_models:
                break
            places.setdefault(place.repo_id, place)
        found = [self._model(place) for place in places.values()]
        models = [model for model in found if model is not None]
        self._descriptions.keep_only({place.path for place in places.values()})
        return models

    def names(self) -> set[str]:
        """Names of the models found, without reading what is in their folders."""
        return {place.repo_id for place in iter_places(self._settings)}

    def find(self, repo_id: str) -> LocalModel:
        """One model by name. Raises NotInstalled."""
        model = self._model(self._place(repo_id))
        if model is None:
            raise _not_installed(repo_id)
        return model

    def check(self, repo_id: str, kv_bits: int = 16) -> CheckedModel:
        """A model fit to be loaded. Raises NotInstalled, Damaged and Unsupported.

        Nothing remembered counts here: the files are looked at as they are now. What was measured
        counts for the cache as the model has it alone.
        """
        place = self._place(repo_id)
        metadata = read_metadata(place.path)
        if metadata and (problem := find_problem(place.path, metadata)):
            raise Damaged(problem, REPAIR_HINT)
        try:
            facts = check_folder(place.path, self._architectures())
        except Damaged as error:
            raise (Damaged(error.message, REPAIR_HINT) if metadata else error) from error
        budget_bytes, on_cpu = self._budget_bytes(), self._on_cpu()
        estimate = estimate_memory(
            facts.config, facts.weights_bytes, budget_bytes, kv_bits=kv_bits, on_cpu=on_cpu
        )
        beside = metadata.usage if metadata else None
        usage = self._usage.usage_of(place, beside, facts.weights_bytes)
        corrected = corrected_memory(
            facts.config, facts.weights_bytes, budget_bytes, usage, on_cpu=on_cpu
        )
        return CheckedModel(
            repo_id=repo_id,
            path=place.path,
            estimate=estimate if kv_bits < 16 else load_estimate(estimate, corrected, usage),
            context_tokens=context_tokens(facts.config),
            template=facts.template,
            kv_bits=kv_bits,
            weights_id=weights_id(facts),
        )

    def kv_choices(self, repo_id: str) -> dict[int, int]:
        """What the cache of a whole context takes in bytes, by bits per value.

        16 alone where the cache cannot be packed, nothing where the config does not say. Raises
        NotInstalled.
        """
        facts = self._descriptions.describe(self._place(repo_id)).facts
        return kv_choices(facts.config, on_cpu=self._on_cpu()) if facts else {}

    def draft_choices(self, repo_id: str) -> tuple[str, ...]:
        """Installed models that could guess this one's words, the smallest first.

        They have its vocabulary, are much smaller, and both fit into memory. Raises NotInstalled.
        """
        model = self.find(repo_id)
        return tuple(
            other.repo_id
            for other in sorted(self.list(), key=lambda other: other.size_bytes)
            if can_draft(other, model, self._budget_bytes()) and has_same_words(other, model)
        )

    def verify(self, repo_id: str, stop: Callable[[], bool] = never) -> tuple[str, ...]:
        """Paths whose content is not what was downloaded, () when whole; reads every byte.

        Raises NotInstalled, ModelError where nothing says what the files should be, and Cancelled
        once ``stop`` says so.
        """
        place = self._place(repo_id)
        metadata = self._downloaded(place)
        return wrong_paths(place.path, metadata, stop)

    def plan_delete(self, repo_id: str) -> DeletePlan:
        """What deleting a model would free; an empty plan when it is not there.

        Raises ModelError for a model that is not Pomona's to delete, InUse while it is in use.
        """
        place = self._deletable(repo_id)
        if place is None:
            return DeletePlan(repo_id, None, (), 0)
        return plan_delete(self._settings.models_dir, repo_id)

    def delete(self, repo_id: str) -> DeletePlan:
        """Delete a model; returns what was deleted. Raises as plan_delete does."""
        with self._deleting:
            place = self._deletable(repo_id)
            if place is None:
                return DeletePlan(repo_id, None, (), 0)
            deleted = execute_delete(self._settings.models_dir, repo_id)
            self._usage.forget(place)
            return deleted

    def clean_trash(self) -> None:
        """Remove what deletes that were killed have left; may take a while."""
        clean_trash(self._settings.models_dir)

    def cached_file(self, file: RepoFile) -> Path | None:
        """A file of the Hugging Face cache that goes by the same hash and has the same size."""
        limit = self._settings.limits.scan_models
        return find_blob(self._settings.hf_cache_dir, file, limit)

    def record_use(self, repo_id: str, now_at: float, stats: GenerationStats | None = None) -> None:
        """Note an answer of this model; never waits for the disk and never fails."""
        self._usage.record(Use(repo_id, now_at, stats))

    def close(self) -> None:
        """Write what was noted of uses."""
        self._usage.close()

    def _place(self, repo_id: str) -> Place:
        place = find_place(self._settings, repo_id)
        if place is None:
            raise _not_installed(repo_id)
        return place

    def _model(self, place: Place) -> LocalModel | None:
        """The model at a place, None when it was deleted since the place was found."""
        description = self._descriptions.describe(place)
        if description.model.is_damaged and not is_model(place.path):
            return None
        usage = self._usage.usage_of(place, _usage_beside(description), None)
        return description.model_for(
            self._architectures(), self._budget_bytes(), usage, on_cpu=self._on_cpu()
        )

    def _locate(self, repo_id: str) -> tuple[Place, int | None] | None:
        place = find_place(self._settings, repo_id)
        if place is None:
            return None
        facts = self._descriptions.describe(place).facts
        return place, facts.weights_bytes if facts else None

    def _downloaded(self, place: Place) -> Metadata:
        metadata = read_metadata(place.path)
        if metadata is None:
            raise ModelError(
                f"Pomona did not download “{place.repo_id[:96]}”, so it does not know what its"
                " files should be.",
                "Download it in Discover to have one that can be checked.",
            )
        return metadata

    def _deletable(self, repo_id: str) -> Place | None:
        """Where a model is that may be deleted, None when there is none by this name."""
        place = find_place(self._settings, repo_id)
        if place is None:
            if not is_repo_id(repo_id):
                raise NotInstalled(
                    f"“{repo_id[:96]}” is not the name of a model.", "Choose one from the list."
                )
            return None
        if place.source != "pomona":
            raise ModelError(
                f"“{repo_id}” is in {format_place(place)}, and Pomona deletes only what it"
                " keeps in its own models folder.",
                f"Delete it with {PROGRAMS[place.source]}."
                if place.source in ("huggingface", "lmstudio")
                else "It can stay where it is.",
            )
        if reason := self._is_in_use(repo_id):
            raise InUse(reason, "Wait until that is over, or end it, then delete.")
        return place


def _not_installed(repo_id: str) -> NotInstalled:
    return NotInstalled(
        f"There is no model “{repo_id[:96]}” on this computer.",
        "Choose one from the list, or download it in Discover.",
    )


def _usage_beside(description: Description) -> Usage | None:
    return description.metadata.usage if description.metadata else None
