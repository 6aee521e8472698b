"""The models in memory: which are there, what each may keep, and how each gives way.

Used on the inference thread alone. Methods leave no reference to a model in their caller, which
would keep it in memory after it was freed.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from engine.errors import EngineError, InUse
from engine.records import LoadedModel, MemoryEstimate, MemoryUse
from engine.settings import Limits

_PROMPT_CACHE_SHARE = 8


@dataclass
class Resident:
    """A model in memory, in one of its forms.

    ``form_alone`` is the same form without a draft. ``memory_bytes`` is measured, ``used_at`` is on
    the monotonic clock. ``unpacking`` is under way when layers that were given up come back, one at
    each step.
    """

    lane: Any
    form: MemoryEstimate
    form_alone: MemoryEstimate
    memory_bytes: int
    used_at: float = field(default_factory=time.monotonic)
    unpacking: Iterator[int] | None = None

    def unpack_some(self) -> bool:
        """One layer; whether there may be more."""
        size_bytes = next(self.unpacking, None) if self.unpacking else None
        if size_bytes is None:
            self.unpacking = None
            return False
        self.memory_bytes += size_bytes
        return True


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

    def is_anyone_served(self) -> bool:
        """Whether somebody is being answered, who will give memory back at the end."""
        return any(resident.lane.is_serving for resident in self._by_id.values())

    def add(self, repo_id: str, resident: Resident) -> None:
        """Keep a model that was loaded."""
        self._by_id[repo_id] = resident
        self.share_cache()

    def mark_used(self, repo_id: str) -> None:
        """Move a model to the end of the line for being unloaded."""
        resident = self._by_id[repo_id] = self._by_id.pop(repo_id)
        resident.used_at = time.monotonic()

    def free(self, repo_id: str) -> None:
        """Take a model out of memory; its requests fail."""
        self._by_id[repo_id].lane.close(InUse("The model was unloaded.", "Send the message again."))
        del self._by_id[repo_id]
        self._backend.release_memory()
        self.share_cache()

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

    def snapshot(self) -> tuple[LoadedModel, ...]:
        """Records for others."""
        return tuple(self.record(repo_id) for repo_id in self._by_id)

    def record(self, repo_id: str) -> LoadedModel:
        """One model's record."""
        resident = self._by_id[repo_id]
        return LoadedModel(
            repo_id=repo_id,
            memory_bytes=resident.memory_bytes,
            context_tokens=resident.lane.model.context_tokens,
            is_batched=resident.lane.model.is_batchable,
            active_requests=len(resident.lane.turns),
            has_chat_template=resident.lane.model.has_chat_template,
        )

    def memory_use(self) -> MemoryUse:
        """What MLX holds now, by model, the rest being caches."""
        models = {repo_id: resident.memory_bytes for repo_id, resident in self._by_id.items()}
        cache_bytes = max(0, self.active_bytes() - sum(models.values()))
        return MemoryUse(models, cache_bytes, self._budget_bytes())

    def active_bytes(self) -> int:
        """What MLX holds now."""
        return int(self._backend.active_memory_bytes())

    def promised_bytes(self) -> int:
        """What answers may still take beside what they hold."""
        lanes = [resident.lane for resident in self._by_id.values()]
        return sum(max(0, lane.promised_bytes() - lane.held_bytes) for lane in lanes)

    def save_memory(self, repo_id: str) -> None:
        """Give up what a model took for speed alone."""
        resident = self._by_id[repo_id]
        if resident.lane.model.extra_bytes:
            resident.memory_bytes -= resident.lane.model.extra_bytes
            resident.lane.model.save_memory()
            del resident
            self._backend.release_memory()

    def set_aside(self, repo_id: str) -> None:
        """Take a model that answers out of memory; its visitors wait for its return."""
        resident = self._by_id[repo_id]
        turns = resident.lane.suspend()
        del resident
        self.free(repo_id)
        for turn in turns:
            turn.on_displaced(turn)

    def drop_kept_prompts(self) -> None:
        """Kept prefixes are a convenience; whoever waits for memory comes first."""
        if any(resident.lane.memory.size_bytes for resident in self._by_id.values()):
            for resident in self._by_id.values():
                resident.lane.memory.limit(0)
            self._backend.release_memory()
            self.share_cache()

    def share_cache(self) -> None:
        """Split the prompt cache's bytes evenly among the loaded models."""
        limit = min(self._limits.prompt_cache_bytes, self._budget_bytes() // _PROMPT_CACHE_SHARE)
        for resident in self._by_id.values():
            resident.lane.memory.limit(limit // len(self._by_id))
