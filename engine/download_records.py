"""What a download or a delete would do, does and did: frozen snapshots that rooms hand over."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.estimates import Fit

DownloadState = Literal["queued", "running", "paused", "verifying", "done", "failed", "cancelled"]


@dataclass(frozen=True)
class DownloadPlan:
    """What a download would do, before it does it.

    ``total_bytes`` is what the model takes on disk, ``fetch_bytes`` what of it is not here yet.
    ``disk_needed_bytes`` adds a margin and what the jobs before it still want. ``memory_bytes``
    and ``fit`` are for a usual chat on this machine; ``blockers`` say why it will not chat.
    """

    repo_id: str
    revision: str
    file_count: int
    total_bytes: int
    fetch_bytes: int
    disk_needed_bytes: int
    disk_free_bytes: int
    memory_bytes: int | None
    fit: Fit
    blockers: tuple[str, ...] = ()

    @property
    def has_room(self) -> bool:
        """Whether the disk can take it."""
        return self.disk_needed_bytes <= self.disk_free_bytes


@dataclass(frozen=True)
class DownloadStatus:
    """One download as it is now.

    ``bytes_per_s`` is over the last seconds, 0 when nothing moves; ``eta_s`` None when nobody can
    tell. ``position`` 1 is next in the waiting line, 0 is not waiting. ``error`` is the sentence
    and hint of a failure, or why it paused by itself; ``notice`` what it is doing when that is not
    plain from the state ("stalled, reconnecting", "the Hub asked us to wait 12 s").
    """

    job_id: str
    repo_id: str
    revision: str
    state: DownloadState
    done_bytes: int
    total_bytes: int
    bytes_per_s: float = 0.0
    eta_s: float | None = None
    position: int = 0
    error: str = ""
    notice: str = ""

    @property
    def is_active(self) -> bool:
        """Whether it moves, or will by itself."""
        return self.state in ("queued", "running", "verifying")


@dataclass(frozen=True)
class DeletePlan:
    """What deleting a model would free: its files, all inside ``folder``."""

    repo_id: str
    folder: Path | None
    paths: tuple[Path, ...]
    freed_bytes: int
