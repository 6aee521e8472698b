"""One job, worked on: look at what is there, fetch the rest, put the whole model in its place."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from engine.errors import Cancelled
from engine.library.jobs import FILES_NAME, JobRecord, JobStore
from engine.library.metadata import Metadata, read_metadata, write_metadata
from engine.library.placing import check_target, place_model
from engine.library.reuse import carry_over, lend_files
from engine.library.transfers import ModelTransfer, Origin, TransferLimits
from engine.records import RepoFile

Cached = Callable[[RepoFile], Path | None]


@dataclass(frozen=True)
class RunProgress:
    """How far one job is; as in DownloadStatus."""

    done_bytes: int = 0
    bytes_per_s: float = 0.0
    eta_s: float | None = None
    is_verifying: bool = False
    notice: str = ""


class JobRun:
    """Works on one job in the thread that calls ``run``; other threads stop it and look at it.

    ``on_placing`` is called before the first rename, when there is no way back. ``present_bytes``
    is what came before, shown until the transfer knows better.
    """

    def __init__(
        self,
        record: JobRecord,
        store: JobStore,
        origin: Origin,
        cached: Cached,
        limits: TransferLimits,
        on_placing: Callable[[], None],
        present_bytes: int = 0,
    ) -> None:
        self._record = record
        self._origin, self._cached, self._limits = origin, cached, limits
        self._folder = store.job_folder(record.job_id)
        self._files = self._folder / FILES_NAME
        self._target = store.target(record.repo_id)
        self._on_placing = on_placing
        self._present_bytes = present_bytes
        self._lock = threading.Lock()
        self._is_stopped = False
        self._is_placing = False
        self._transfer: ModelTransfer | None = None

    def run(self) -> None:
        """Do all of it. Raises Cancelled after stop(), EngineErrors and OSError."""
        check_target(self._target)
        if self._record.reuses and self._target.is_dir():
            lend_files(self._target, self._folder, self._record, self._stopped, self._note_checked)
        self._begin_transfer().run()
        known = read_metadata(self._target)
        if self._target.is_dir():
            replaced = {file.path for file in known.files} if known else set()
            carry_over(self._target, self._files, replaced, self._stopped)
        self._enter_placing()
        self._on_placing()
        write_metadata(self._files, self._metadata(known))
        place_model(self._folder, self._target)

    def stop(self) -> bool:
        """End ``run`` soon; False when it is past that and ends by itself at once."""
        with self._lock:
            if self._is_placing:
                return False
            self._is_stopped = True
            transfer = self._transfer
        if transfer is not None:
            transfer.stop()
        return True

    def progress(self) -> RunProgress:
        """Where it is; cheap."""
        if self._transfer is None:
            return RunProgress(self._present_bytes, is_verifying=self._record.reuses)
        now = self._transfer.progress()
        return RunProgress(now.done_bytes, now.bytes_per_s, now.eta_s, now.is_verifying, now.notice)

    def _begin_transfer(self) -> ModelTransfer:
        record = self._record
        transfer = ModelTransfer(
            self._folder, record.repo_id, record.revision, record.files, self._origin,
            cached=self._cached, limits=self._limits,
        )  # fmt: skip
        with self._lock:
            if self._is_stopped:
                raise Cancelled()
            self._transfer = transfer
        return transfer

    def _note_checked(self, checked_bytes: int) -> None:
        self._present_bytes = max(self._present_bytes, checked_bytes)

    def _stopped(self) -> bool:
        return self._is_stopped

    def _enter_placing(self) -> None:
        with self._lock:
            if self._is_stopped:
                raise Cancelled()
            self._is_placing = True

    def _metadata(self, known: Metadata | None) -> Metadata:
        record, now_at = self._record, time.time()
        if known is not None:
            return known.renewed(record.revision, record.files, now_at)
        return Metadata(record.repo_id, record.revision, record.files, now_at)
