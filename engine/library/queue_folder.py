"""The queue's folder: whose it is, what was left in it, and what another Pomona is doing there."""

import errno
import logging
import os
import time
from pathlib import Path

from engine.library.download_failures import folder_error, folder_gone
from engine.library.folder_lock import FolderLock
from engine.library.job_table import in_order
from engine.library.jobs import FILES_NAME, JobRecord, JobStore
from engine.library.placing import put_back_old
from engine.library.transfers import present_bytes
from engine.records import DownloadState, DownloadStatus

PEEK_S = 0.5

logger = logging.getLogger(__name__)


class QueueFolder:
    """``.downloads`` of one models folder; ``is_taken`` by another Pomona when last looked at.

    For one thread at a time, except ``problem`` and ``present_bytes``.
    """

    def __init__(self, models_dir: Path) -> None:
        self.store = JobStore(models_dir)
        self.is_taken = False
        self._lock = FolderLock(self.store.folder)
        self._peeked: tuple[float, tuple[DownloadStatus, ...]] = (float("-inf"), ())

    def is_ours(self) -> bool:
        """Whether this Pomona runs the queue, and the folder is still there."""
        return self._lock.is_held()

    def is_there(self) -> bool:
        """Whether anything was ever downloaded here."""
        return self.store.folder.is_dir()

    def take(self) -> list[JobRecord] | None:
        """Become the one who runs the queue: its unfinished jobs; None when another one is.

        Models that were being replaced when the app was killed are put back first. Raises OSError.
        """
        self._lock.release()
        self.store.folder.mkdir(exist_ok=True)  # not its parents: a drive may be unplugged
        self.is_taken = not self._lock.acquire()
        if self.is_taken:
            return None
        for folder in self.store.folders():
            self._put_back(folder)
        self.store.set_aside_broken()
        return [record for record in self.store.load() if self._is_unfinished(record)]

    def give_up(self) -> None:
        """Let another Pomona take it."""
        self._lock.release()

    def peek(self) -> tuple[DownloadStatus, ...]:
        """What another Pomona is doing here, as far as its files tell; not older than PEEK_S."""
        peeked_at, statuses = self._peeked
        if time.monotonic() - peeked_at >= PEEK_S:
            try:
                records = self.store.load()
            except OSError:
                records = []
            statuses = in_order(map(self._seen, records))
            self._peeked = (time.monotonic(), statuses)
        return statuses

    def problem(self) -> str:
        """Why nothing can be downloaded here, as a sentence; empty when it can."""
        models_dir = self.store.models_dir
        if not models_dir.is_dir():
            return folder_gone().text
        if not os.access(models_dir, os.W_OK | os.X_OK):
            return folder_error(PermissionError(errno.EACCES, "")).text
        return ""

    def present_bytes(self, record: JobRecord) -> int:
        """Bytes of a job that need not be fetched again."""
        return min(
            present_bytes(self.store.job_folder(record.job_id), record.files), record.total_bytes
        )

    def _put_back(self, folder: Path) -> None:
        try:
            put_back_old(folder, self.store.models_dir)
        except OSError as error:
            logger.warning("what %s replaced was not put back: %s", folder.name, error.strerror)

    def _is_unfinished(self, record: JobRecord) -> bool:
        """Whether there is something left to do; what is over is cleared away."""
        folder = self.store.job_folder(record.job_id)
        target = self.store.target(record.repo_id)
        try:
            was_placed = record.state == "placing" and not (folder / FILES_NAME).exists()
            if record.state == "cancelled" or (was_placed and target.is_dir()):
                self.store.remove(record.job_id)
                return False
        except OSError as error:
            logger.warning("download %s could not be tidied up: %s", record.job_id, error.strerror)
        return True

    def _seen(self, record: JobRecord) -> DownloadStatus:
        state: DownloadState = "running" if record.state == "placing" else record.state
        return DownloadStatus(
            record.job_id, record.repo_id, record.revision, state,
            self.present_bytes(record), record.total_bytes, error=record.error,
        )  # fmt: skip
