"""The models in memory: which are there, which must go for another, and what each may keep.

Used on the inference thread alone. Methods leave no reference to a model in their caller, which
would keep it in memory after it was freed.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from engine.errors import EngineError, InsufficientMemory, InUse
from engine.records import CheckedModel, LoadedModel, MemoryEstimate, MemoryUse
from engine.settings import Limits

_MINIMUM_CONTEXT_TOKENS = 1024
_UNKNOWN_CONTEXT_TOKENS = 4096
_USUAL_CONTEXT_TOKENS = 8192


@dataclass
class Resident:
    """A model in memory. ``memory_bytes`` is measured, ``used_at`` is on the monotonic clock."""

    lane: Any
    memory_bytes: int
    used_at: float = field(default_factory=time.monotonic)


class Residents:
    """Models by name, the least recently used first, within ``budget_bytes``."""

    _backend: ModuleType

    def __init__(self, limits: Limits, budget_bytes: Callable[[], int]) -> None:
        self._limits = limits
        self._budget_bytes = budget_bytes
        self._by_id: dict[str, Resident] = {}

    def start(self, backend: ModuleType) -> None:
        """Take the boundary to mlx, once it could be imported; without it nothing is ever added."""
        self._backend = backend

    def __contains__(self, repo_id: str) -> bool:
        return repo_id in self._by_id

    def __getitem__(self, repo_id: str) -> Resident:
        return self._by_id[repo_id]

    def names(self) -> list[str]:
        """Names of all, the least recently used first."""
        return list(self._by_id)

    def is_busy(self, repo_id: str) -> bool:
        """Whether a model answers somebody."""
        return repo_id in self._by_id and bool(self._by_id[repo_id].lane.turns)

    def is_idle(self) -> bool:
        """Whether nobody is answered."""
        return not any(resident.lane.turns for resident in self._by_id.values())

    def add(self, repo_id: str, lane: Any, memory_bytes: int) -> None:
        """Keep a model that was loaded."""
        self._by_id[repo_id] = Resident(lane, memory_bytes)
        self._share_cache()

    def mark_used(self, repo_id: str) -> None:
        """Move a model to the end of the line for being unloaded."""
        resident = self._by_id[repo_id] = self._by_id.pop(repo_id)
        resident.used_at = time.monotonic()

    def free(self, repo_id: str) -> None:
        """Take a model out of memory; its requests fail."""
        self._by_id[repo_id].lane.close(InUse("The model was unloaded.", "Send the message again."))
        del self._by_id[repo_id]
        self._backend.release_memory()
        self._share_cache()

    def close(self, error: EngineError) -> None:
        """Take every model out of memory; their requests fail with ``error``."""
        for resident in self._by_id.values():
            resident.lane.close(error)
        self._by_id.clear()

    def idle_since(self, idle_s: float) -> list[str]:
        """Models that nobody has used for so long."""
        now = time.monotonic()
        return [
            repo_id
            for repo_id, resident in self._by_id.items()
            if not resident.lane.turns and now - resident.used_at >= idle_s
        ]

    def next_idle_s(self, idle_s: float) -> float | None:
        """Seconds until the next model has been idle for so long; None without models."""
        ends = [resident.used_at + idle_s for resident in self._by_id.values()]
        return max(0.0, min(ends) - time.monotonic()) if ends else None

    def make_room(self, checked: CheckedModel, coming_bytes: int) -> MemoryEstimate | EngineError:
        """Make a model fit by what idle ones give up, the least recently used first.

        Kept prompts go first, then unpacked layers, then whole models; nothing goes where even that
        would not be enough. Returns the form in which the model fits: float32 on a CPU, as its
        files are where only that fits. ``coming_bytes`` are what loads under way will take.
        """
        forms = [form for form in (checked.estimate, checked.estimate.narrow) if form]
        for form in forms:
            needed_bytes = form.base_bytes + _kv_bytes(form, checked, _MINIMUM_CONTEXT_TOKENS)
            if self._free_bytes(coming_bytes) + self._idle_bytes() < needed_bytes:
                continue
            if self._free_bytes(coming_bytes) < needed_bytes:
                self._drop_prompt_caches()
            for give_up in (self._save_memory, self.free):
                for repo_id in self.names():
                    if self._free_bytes(coming_bytes) >= needed_bytes:
                        break
                    if not self.is_busy(repo_id):
                        give_up(repo_id)
            if self._free_bytes(coming_bytes) >= needed_bytes:
                return form
        budget_bytes = self._budget_bytes()
        return InsufficientMemory(
            f"This model needs {needed_bytes / 1e9:.1f} GB of memory; models may use"
            f" {budget_bytes / 1e9:.1f} GB here, of which"
            f" {self._free_bytes(coming_bytes) / 1e9:.1f} GB are free.",
            "Choose a smaller model or a stronger quantisation.",
            needed_bytes=needed_bytes,
            budget_bytes=budget_bytes,
        )

    def has_room_for_speed(
        self, checked: CheckedModel, form: MemoryEstimate, size_bytes: int, coming_bytes: int
    ) -> bool:
        """Whether a model just loaded may take so much more, beside the room for a usual chat.

        Idle models give up what they took for speed alone.
        """
        needed_bytes = size_bytes + (form.working_bytes or 0)
        needed_bytes += _kv_bytes(form, checked, _USUAL_CONTEXT_TOKENS)
        for repo_id in self.names():
            if self._free_bytes(coming_bytes) >= needed_bytes:
                break
            if not self.is_busy(repo_id):
                self._save_memory(repo_id)
        return self._free_bytes(coming_bytes) >= needed_bytes

    def affordable_context(
        self, checked: CheckedModel, form: MemoryEstimate, coming_bytes: int
    ) -> int:
        """The context of a model just loaded, or as much of it as the memory holds."""
        longest = checked.context_tokens or _UNKNOWN_CONTEXT_TOKENS
        if form.kv_cache is None:
            return longest
        free_bytes = self._free_bytes(coming_bytes) - (form.working_bytes or 0)
        affordable = form.kv_cache.tokens_within(free_bytes, longest)
        return min(longest, max(_MINIMUM_CONTEXT_TOKENS, affordable))

    def snapshot(self) -> tuple[LoadedModel, ...]:
        """Records for others."""
        return tuple(
            LoadedModel(
                repo_id=repo_id,
                memory_bytes=resident.memory_bytes,
                context_tokens=resident.lane.model.context_tokens,
                is_batched=resident.lane.model.is_batchable,
                active_requests=len(resident.lane.turns),
                has_chat_template=resident.lane.model.has_chat_template,
            )
            for repo_id, resident in self._by_id.items()
        )

    def memory_use(self) -> MemoryUse:
        """What MLX holds now, by model, the rest being caches."""
        models = {repo_id: resident.memory_bytes for repo_id, resident in self._by_id.items()}
        cache_bytes = max(0, self._backend.active_memory_bytes() - sum(models.values()))
        return MemoryUse(models, cache_bytes, self._budget_bytes())

    def _save_memory(self, repo_id: str) -> None:
        """Give up what a model took for speed alone."""
        resident = self._by_id[repo_id]
        if not resident.lane.model.extra_bytes:
            return
        resident.memory_bytes -= resident.lane.model.extra_bytes
        resident.lane.model.save_memory()
        del resident
        self._backend.release_memory()

    def _idle_bytes(self) -> int:
        """What models hold that may be given up."""
        return sum(
            resident.lane.kept_bytes + (0 if resident.lane.turns else resident.memory_bytes)
            for resident in self._by_id.values()
        )

    def _drop_prompt_caches(self) -> None:
        """Kept prefixes are a convenience; a model somebody asked for comes first."""
        for resident in self._by_id.values():
            resident.lane.limit_cache(0)
        self._backend.release_memory()
        self._share_cache()

    def _free_bytes(self, coming_bytes: int) -> int:
        """Budget less what is loaded and what the loads under way will take."""
        active_bytes = int(self._backend.active_memory_bytes())
        return max(0, self._budget_bytes() - active_bytes - coming_bytes)

    def _share_cache(self) -> None:
        """Split the prompt cache's bytes evenly among the loaded models."""
        for resident in self._by_id.values():
            resident.lane.limit_cache(self._limits.prompt_cache_bytes // len(self._by_id))


def _kv_bytes(form: MemoryEstimate, checked: CheckedModel, tokens: int) -> int:
    """What one sequence of so many tokens keeps, or as many as it can have; 0 when not known."""
    longest = checked.context_tokens or _UNKNOWN_CONTEXT_TOKENS
    return form.kv_cache.bytes_at(min(tokens, longest)) if form.kv_cache else 0
