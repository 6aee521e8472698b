"""Downloads: what the Hub has and what this computer can take, put together into a queue."""

import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from engine.discover import Discover, Inspection
from engine.errors import Cancelled, DownloadError, HubError, NotInstalled, Offline, RateLimited
from engine.hub import (
    INDEX_NAME,
    HubClient,
    has_weights,
    indexed_weights,
    missing_weights,
    wanted_files,
)
from engine.library.download_failures import no_room
from engine.library.jobs import is_storable_name
from engine.library.metadata import Metadata, read_metadata
from engine.library.placing import check_target
from engine.library.queue import DownloadQueue
from engine.library.queue_limits import QueueLimits
from engine.library.transfers import TransferLimits, check_files, nothing_cached
from engine.machine import disk_free_bytes
from engine.records import DownloadPlan, DownloadStatus, RepoFile

MAX_INDEX_BYTES = 64_000_000
MAX_ASKED = 200
_ASKING_THREADS = 4
_LIMITS = QueueLimits()
_TRANSFER_LIMITS = TransferLimits()


@dataclass(frozen=True)
class _Wanted:
    """What a download is to bring."""

    repo_id: str
    revision: str
    files: tuple[RepoFile, ...]


class Downloads:
    """Plans, starts and looks after downloads. Safe to call from any thread.

    ``list`` and ``version`` are cheap. What takes a job id raises DownloadError for one that is
    not on the list; what changes something does so while another Pomona uses the models folder.
    """

    def __init__(
        self,
        models_dir: Path,
        client: HubClient,
        discover: Discover,
        cached: Callable[[RepoFile], Path | None] = nothing_cached,
        *,
        limits: QueueLimits = _LIMITS,
        transfer_limits: TransferLimits = _TRANSFER_LIMITS,
    ) -> None:
        self._models_dir = models_dir
        self._client = client
        self._discover = discover
        self._cached = cached
        self._limits = limits
        self._starting = threading.Lock()
        self._closed = threading.Event()
        self._queue = DownloadQueue(
            models_dir, client, cached, self._free_bytes, limits, transfer_limits
        )

    def open(self) -> None:
        """Go on with what was queued when the app ended; returns at once."""
        self._queue.open()

    def close(self) -> None:
        """Stop within two seconds; what is queued goes on at the next start."""
        self._closed.set()
        self._queue.close()

    @property
    def version(self) -> int:
        """Rises with each change of a state; bytes are no change."""
        return self._queue.version

    @property
    def problem(self) -> str:
        """Why nothing can be downloaded into the models folder; empty when it can."""
        return self._queue.problem

    def list(self) -> tuple[DownloadStatus, ...]:
        """Every download: running, waiting in order, paused and failed, ended ones last."""
        return self._queue.list()

    def is_busy(self, repo_id: str) -> bool:
        """Whether a download of this model runs, waits or is paused."""
        found = self._queue.find(repo_id)
        return found is not None and found.state != "failed"

    def pause(self, job_id: str) -> DownloadStatus:
        """Stop it for now and keep what came; it stays so over a restart."""
        return self._queue.pause(job_id)

    def resume(self, job_id: str) -> DownloadStatus:
        """Go on where it was paused or failed."""
        return self._queue.resume(job_id)

    def retry(self, job_id: str) -> DownloadStatus:
        """Try a failed one again, from what is there; a cancelled one becomes a new one."""
        return self._queue.resume(job_id)

    def cancel(self, job_id: str) -> DownloadStatus:
        """Stop it and delete what came."""
        return self._queue.cancel(job_id)

    def forget(self, job_id: str) -> None:
        """Take an ended or failed one off the list; what a failed one had fetched is deleted."""
        self._queue.forget(job_id)

    def plan(self, repo_id: str) -> DownloadPlan:
        """What a download would do. Raises HubErrors; DownloadError for what MLX cannot load."""
        inspection, wanted = self._look(repo_id)
        return self._plan(inspection, wanted)

    def start(self, repo_id: str) -> DownloadStatus:
        """Queue a model, or let its unfinished download go on: one model is one job.

        Raises HubErrors, InsufficientDisk and DownloadError.
        """
        self._queue.check_usable()
        if known := self._queue.find(repo_id):
            return self._queue.resume(known.job_id)
        _, wanted = self._look(repo_id)
        target = self._target(wanted.repo_id)
        if not os.path.lexists(target):
            return self._add(wanted, reuses=False)
        metadata = read_metadata(target)
        if metadata is None:
            raise DownloadError(
                f"There is a folder for {wanted.repo_id} that Pomona did not download.",
                "Repair compares it with the Hub, or move it out of the models folder first.",
            )
        return self._renew(wanted, metadata)

    def update(self, repo_id: str) -> DownloadStatus:
        """Bring an installed model to its newest revision; files that are equal stay.

        Raises NotInstalled, HubErrors, InsufficientDisk and DownloadError.
        """
        self._queue.check_usable()
        metadata = self._installed(repo_id)
        if known := self._queue.find(repo_id):
            return self._queue.resume(known.job_id)
        _, wanted = self._look(repo_id)
        wanted = replace(wanted, repo_id=repo_id)  # renamed on the Hub, it stays where it is
        return self._renew(wanted, metadata) if metadata else self._add(wanted, reuses=True)

    def repair(self, repo_id: str) -> DownloadStatus:
        """Check an installed model's files in the background and fetch those that are bad.

        Without a record of what was downloaded, the Hub's newest files are what it ought to be.
        Raises as update does.
        """
        self._queue.check_usable()
        metadata = self._installed(repo_id)
        if known := self._queue.find(repo_id):
            return self._queue.resume(known.job_id)
        if metadata is not None:
            wanted = _Wanted(repo_id, metadata.revision, metadata.files)
        else:
            wanted = replace(self._look(repo_id)[1], repo_id=repo_id)
        return self._add(wanted, reuses=True)

    def newest_revisions(self, repo_ids: Iterable[str]) -> dict[str, str]:
        """Of models that Pomona downloaded, those whose commit on the Hub is another one by now.

        Those of which nothing can be learned are left out. Raises nothing.
        """
        installed = {
            repo_id: metadata.revision
            for repo_id in tuple(repo_ids)[:MAX_ASKED]
            if is_storable_name(repo_id) and (metadata := read_metadata(self._target(repo_id)))
        }
        gave_up = threading.Event()

        def newest(repo_id: str) -> str | None:
            if gave_up.is_set() or self._closed.is_set():
                return None
            try:
                return self._client.newest_commit(repo_id, cancel=self._closed.is_set)
            except (Offline, RateLimited):
                gave_up.set()
            except (HubError, Cancelled):
                pass
            return None

        with ThreadPoolExecutor(_ASKING_THREADS, "pomona-newest") as threads:
            found = dict(zip(installed, threads.map(newest, installed), strict=True))
        return {name: commit for name, commit in found.items()
                if commit is not None and commit != installed[name]}  # fmt: skip

    def _look(self, repo_id: str) -> tuple[Inspection, _Wanted]:
        """A model as it is on the Hub, and what of it would be fetched."""
        found = self._discover.examine(repo_id)
        name = found.ranked.summary.repo_id
        paths = {file.path for file in found.files}
        if not is_storable_name(name):
            raise DownloadError(f"{name} has no owner in its name.", "Choose another copy of it.")
        if not has_weights(found.files) or "config.json" not in paths:
            why = found.ranked.readiness.blockers
            raise DownloadError(
                f"{name} is not a model that MLX loads. {' '.join(why)}".strip(),
                "Look in Discover for a model marked “will chat”.",
            )
        indexed = None
        if INDEX_NAME in paths:
            text = self._client.read_text(name, found.revision, INDEX_NAME, MAX_INDEX_BYTES)
            indexed = indexed_weights(text)
        if missing := missing_weights(found.files, indexed):
            raise DownloadError(
                f"{name} is not whole on the Hub: {len(missing)} of its weight files are missing.",
                "Choose another copy of it.",
            )
        files = wanted_files(found.files, indexed)
        check_files(files)
        return found, _Wanted(name, found.revision, files)

    def _plan(self, found: Inspection, wanted: _Wanted) -> DownloadPlan:
        job = self._queue.find(wanted.repo_id)
        metadata = read_metadata(self._target(wanted.repo_id))
        kept_bytes = job.done_bytes if job else self._kept_bytes(wanted, metadata)
        cached_bytes = 0 if job else self._cached_bytes(wanted, metadata)
        total_bytes = sum(file.size_bytes for file in wanted.files)
        return DownloadPlan(
            repo_id=wanted.repo_id,
            revision=wanted.revision,
            file_count=len(wanted.files),
            total_bytes=total_bytes,
            fetch_bytes=max(0, total_bytes - kept_bytes - cached_bytes),
            disk_needed_bytes=self._needed_bytes(wanted, total_bytes - kept_bytes),
            disk_free_bytes=self._free_bytes(),
            memory_bytes=found.ranked.memory_bytes,
            fit=found.ranked.fit,
            blockers=found.ranked.readiness.blockers,
        )

    def _add(self, wanted: _Wanted, *, reuses: bool) -> DownloadStatus:
        """Queue what is not queued yet, if there is room for it."""
        target = self._target(wanted.repo_id)
        check_target(target)
        with self._starting:
            if known := self._queue.find(wanted.repo_id):
                return self._queue.resume(known.job_id)
            total_bytes = sum(file.size_bytes for file in wanted.files)
            kept_bytes = self._kept_bytes(wanted, read_metadata(target)) if reuses else 0
            needed_bytes = self._needed_bytes(wanted, total_bytes - kept_bytes)
            free_bytes = self._free_bytes()
            if needed_bytes > free_bytes:
                raise no_room(needed_bytes, free_bytes)
            return self._queue.add(wanted.repo_id, wanted.revision, wanted.files, reuses=reuses)

    def _renew(self, wanted: _Wanted, metadata: Metadata) -> DownloadStatus:
        """Queue a newer or incomplete model; one that is whole and newest is done already."""
        total_bytes = sum(file.size_bytes for file in wanted.files)
        is_newest = metadata.revision == wanted.revision
        if is_newest and self._kept_bytes(wanted, metadata) == total_bytes:
            known = (s for s in self._queue.list()
                     if s.state == "done" and s.repo_id == wanted.repo_id)  # fmt: skip
            return next(known, None) or self._queue.add_done(
                wanted.repo_id, wanted.revision, wanted.files
            )
        return self._add(wanted, reuses=True)

    def _installed(self, repo_id: str) -> Metadata | None:
        """What is known of a model in Pomona's folder. Raises NotInstalled."""
        if not is_storable_name(repo_id) or not self._target(repo_id).is_dir():
            raise NotInstalled(
                f"There is no model “{repo_id[:96]}” in Pomona's folder.",
                "Download it in Discover. What other programs have downloaded is theirs to mend.",
            )
        metadata = read_metadata(self._target(repo_id))
        return metadata if metadata and metadata.repo_id == repo_id else None

    def _kept_bytes(self, wanted: _Wanted, metadata: Metadata | None) -> int:
        """Bytes of files that are installed and, as far as sizes tell, stay as they are."""
        if metadata is None:
            return 0
        installed = {file.path: file for file in metadata.files}
        target = self._target(wanted.repo_id)
        return sum(
            file.size_bytes
            for file in wanted.files
            if installed.get(file.path) == file
            and _size_bytes(target / file.path) == file.size_bytes
        )

    def _cached_bytes(self, wanted: _Wanted, metadata: Metadata | None) -> int:
        """Bytes of the other files that are in the Hugging Face cache."""
        installed = set(metadata.files) if metadata else set()
        return sum(
            file.size_bytes
            for file in wanted.files
            if file not in installed and self._cached(file) is not None
        )

    def _needed_bytes(self, wanted: _Wanted, size_bytes: int) -> int:
        """What must be free on the disk, with what the jobs before it still want."""
        others_bytes = self._queue.remaining_bytes(besides=wanted.repo_id)
        return self._limits.with_margin(size_bytes + others_bytes)

    def _free_bytes(self) -> int:
        return disk_free_bytes(self._models_dir)

    def _target(self, repo_id: str) -> Path:
        return self._models_dir.joinpath(*repo_id.split("/"))


def _size_bytes(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return -1
