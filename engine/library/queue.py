"""The download queue: two models at once, the rest in order, over restarts of the app.

A job that runs has a thread of its own, which ends with it: nothing runs when nothing is queued.
What a restart must know is on disk (``jobs``). The Pomona that holds the folder's lock runs the
queue, any other one only looks.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from engine.errors import Cancelled, DownloadError, EngineError, InsufficientDisk, RateLimited
from engine.library import download_failures as failures
from engine.library.download_failures import UNEXPECTED, folder_error
from engine.library.job_run import Cached, JobRun
from engine.library.job_table import ENDED, RUNNING, Job, JobTable
from engine.library.queue_folder import QueueFolder
from engine.library.queue_limits import QueueLimits
from engine.library.transfers import Origin, TransferLimits
from engine.records import DownloadState, DownloadStatus, RepoFile

STOP_S = 1.0
CLOSE_S = 2.0

logger = logging.getLogger(__name__)


class DownloadQueue:
    """Runs downloads. Safe to call from any thread."""

    def __init__(
        self,
        models_dir: Path,
        origin: Origin,
        cached: Cached,
        free_bytes: Callable[[], int],
        limits: QueueLimits,
        transfer_limits: TransferLimits,
    ) -> None:
        self._origin = origin
        self._cached = cached
        self._free_bytes = free_bytes
        self._limits = limits
        self._transfer_limits = transfer_limits
        self._folder = QueueFolder(models_dir)
        self._table = JobTable()
        self._lock = self._table.lock
        self._leading = threading.RLock()
        self._closed = threading.Event()
        self._watcher: threading.Thread | None = None
        self._peeked_states: tuple[tuple[str, str], ...] = ()

    @property
    def version(self) -> int:
        """Rises with each change of a job's state."""
        return self._table.version

    @property
    def problem(self) -> str:
        """Why nothing can be downloaded into the models folder; empty when it can."""
        return self._folder.problem()

    def open(self) -> None:
        """Go on with what was queued when the app ended, without keeping the caller waiting."""
        threading.Thread(target=self._lead, name="pomona-queue-open", daemon=True).start()

    def close(self) -> None:
        """Stop the transfers, within two seconds; what is queued goes on at the next start."""
        self._closed.set()
        with self._lock:
            running = [(job, job.run) for job in self._table.jobs.values() if job.run is not None]
        for _, run in running:
            run.stop()
        # The lock stays until the last transfer has let go of its files, or the process ends.
        (last := threading.Thread(target=self._give_up_after, args=(running,), daemon=True)).start()
        last.join(CLOSE_S)

    def _give_up_after(self, running: Sequence[tuple[Job, JobRun]]) -> None:
        for job, _ in running:
            job.has_ended.wait()
        with self._leading:
            self._folder.give_up()

    def list(self) -> tuple[DownloadStatus, ...]:
        """Every job: running, then waiting in order, then paused and failed, ended ones last."""
        if not self._lead() and (others := self._peek()):
            return others
        return self._table.statuses()

    def find(self, repo_id: str) -> DownloadStatus | None:
        """The unfinished job of a model, whatever the case of its name."""
        wanted = repo_id.casefold()
        found = (s for s in self.list() if s.state not in ENDED and s.repo_id.casefold() == wanted)
        return next(found, None)

    def remaining_bytes(self, besides: str = "") -> int:
        """What jobs that run or wait still want of the disk, the model ``besides`` left out."""
        with self._lock:
            return sum(
                job.remaining_bytes
                for job in self._table.jobs.values()
                if job.state in ("queued", *RUNNING) and job.record.repo_id != besides
            )

    def check_usable(self) -> None:
        """Raises DownloadError when this Pomona cannot download into the models folder now."""
        if self._closed.is_set():
            raise DownloadError("Pomona is closing.", "Start it again.")
        try:
            if not self._lead(is_wanted=True):
                raise failures.another_pomona() if self._folder.is_taken else failures.folder_gone()
        except OSError as error:
            raise folder_error(error) from error

    def add(
        self, repo_id: str, revision: str, files: Sequence[RepoFile], *, reuses: bool
    ) -> DownloadStatus:
        """A new job at the end of the line. Raises DownloadError."""
        self.check_usable()
        job = self._table.add(repo_id, revision, tuple(files), reuses)
        try:
            self._save(job)
        except OSError as error:
            self._table.drop(job)
            raise folder_error(error) from error
        self._pump()
        return self._table.status(job)

    def add_done(self, repo_id: str, revision: str, files: Sequence[RepoFile]) -> DownloadStatus:
        """Note a model that turned out to be here already."""
        job = self._table.add(repo_id, revision, tuple(files), state="done")
        job.is_removed = True
        return self._table.status(job)

    def pause(self, job_id: str) -> DownloadStatus:
        """Stop a job and keep what came. Raises DownloadError for an unknown id."""
        job = self._job(job_id)
        if self._halt(job, "paused", ("queued", *RUNNING)):
            self._save_quietly(job)
            job.has_ended.wait(STOP_S)
        return self._table.status(job)

    def cancel(self, job_id: str) -> DownloadStatus:
        """Stop a job and delete what came. Raises DownloadError for an unknown id."""
        job = self._job(job_id)
        if self._halt(job, "cancelled", ("queued", "paused", "failed", *RUNNING)):
            self._save_quietly(job)
            if job.has_ended.wait(STOP_S):
                self._remove(job)
        return self._table.status(job)

    def resume(self, job_id: str) -> DownloadStatus:
        """Let a paused or failed job go on from what is there. Raises DownloadError."""
        job = self._job(job_id)
        with self._lock:
            is_idle = job.state in ("paused", "failed")
            if is_idle:
                self._table.change(job, "queued")
        if is_idle:
            self._save_quietly(job)
            self._pump()
        if job.state == "cancelled":
            record = job.record
            return self.add(record.repo_id, record.revision, record.files, reuses=record.reuses)
        return self._table.status(job)

    def forget(self, job_id: str) -> None:
        """Take an ended or failed job off the list, with what came. Raises DownloadError."""
        job = self._job(job_id)
        with self._lock:
            if job.state not in (*ENDED, "failed"):
                raise DownloadError("This download is not over.", "Cancel it first.")
            self._table.drop(job)
        self._remove(job)

    def _job(self, job_id: str) -> Job:
        """A job of ours. Raises DownloadError for any other id."""
        leads = self._lead()
        with self._lock:
            job = self._table.jobs.get(job_id)
        if job is not None:
            return job
        if not leads and any(status.job_id == job_id for status in self._peek()):
            raise failures.another_pomona()
        raise failures.unknown_job()

    def _halt(self, job: Job, state: DownloadState, possible: tuple[str, ...]) -> bool:
        """Give a job that state unless it is past stopping; whether that was a change."""
        with self._lock:
            if job.state not in possible or (job.run is not None and not job.run.stop()):
                return False
            self._table.change(job, state)
            return True

    def _pump(self) -> None:
        """Start the first of the line while there is room."""
        with self._lock:
            for job in self._table.waiting():
                if self._closed.is_set() or self._table.running_count() >= self._limits.at_once:
                    return
                if job.run is None:  # else it was paused and resumed, and its thread is ending
                    self._start(job)

    def _start(self, job: Job) -> None:
        run = JobRun(
            job.record, self._folder.store, self._origin, self._cached, self._transfer_limits,
            on_placing=lambda: self._save(job, is_placing=True), present_bytes=job.done_bytes,
        )  # fmt: skip
        job.run = run
        job.has_ended.clear()
        self._table.change(job, "running")
        threading.Thread(
            target=self._work, args=(job, run), name="pomona-download", daemon=True
        ).start()

    def _work(self, job: Job, run: JobRun) -> None:
        state: DownloadState = "failed"
        error = UNEXPECTED
        try:
            state, error = self._try(job, run)
        finally:
            self._settle(job, state, error)

    def _try(self, job: Job, run: JobRun) -> tuple[DownloadState, str]:
        """Run a job to its end: the state that it comes to, and why."""
        try:
            self._save(job)
            self._check_room(job)
            run.run()
        except Cancelled:
            return "queued", ""
        except InsufficientDisk as error:
            return "paused", error.text
        except RateLimited as error:
            return "failed", failures.rate_limited(error)
        except EngineError as error:
            logger.info("download %s failed: %s", job.record.job_id, error, exc_info=error)
            return "failed", error.text
        except OSError as error:
            logger.warning("download %s failed", job.record.job_id, exc_info=error)
            refusal = folder_error(error)
            return "paused" if isinstance(refusal, InsufficientDisk) else "failed", refusal.text
        return "done", ""

    def _settle(self, job: Job, state: DownloadState, error: str) -> None:
        """A job's thread ends: what is known of it now, unless a person has said otherwise."""
        if state == "done":
            self._remove(job)  # before it is called done: then nothing of it is left
        done_bytes = job.record.total_bytes if state == "done" else self._present_bytes(job)
        with self._lock:
            job.done_bytes = done_bytes
            if job.state in RUNNING and (state == "done" or not self._closed.is_set()):
                self._table.change(job, state, error=error)
            is_cancelled = job.state == "cancelled"
        if is_cancelled:
            self._remove(job)
        elif not self._closed.is_set():
            self._save_quietly(job)
        with self._lock:
            job.run = None
            job.has_ended.set()
        self._pump()

    def _check_room(self, job: Job) -> None:
        """Raises InsufficientDisk when what a job still wants would not fit beside the others."""
        with self._lock:
            others = [j for j in self._table.jobs.values() if j is not job and j.run is not None]
            wanted_bytes = job.remaining_bytes + sum(j.remaining_bytes for j in others)
        needed_bytes, free_bytes = self._limits.with_margin(wanted_bytes), self._free_bytes()
        if needed_bytes > free_bytes:
            raise failures.no_room(needed_bytes, free_bytes)

    def _present_bytes(self, job: Job) -> int:
        try:
            return self._folder.present_bytes(job.record)
        except OSError:
            return 0

    def _save(self, job: Job, is_placing: bool = False) -> None:
        """Write a job as it is now. Raises OSError."""
        with job.saving:
            if not job.is_removed:
                with self._lock:
                    record = job.to_record(is_placing)
                self._folder.store.save(record)

    def _save_quietly(self, job: Job) -> None:
        """Write a job; where that fails, a restart knows an older state, and no byte is lost."""
        try:
            self._save(job)
        except OSError as error:
            logger.warning("download %s: not written: %s", job.record.job_id, error.strerror)

    def _remove(self, job: Job) -> None:
        """Delete what a job has on disk; what cannot be deleted now is at the next start."""
        with job.saving:
            job.is_removed = True
            try:
                self._folder.store.remove(job.record.job_id)
            except OSError as error:
                logger.warning("download %s: not removed: %s", job.record.job_id, error.strerror)

    def _lead(self, is_wanted: bool = False) -> bool:
        """Whether this Pomona runs the queue; takes it up where nobody does.

        Raises OSError when it ``is_wanted`` and the folder refuses.
        """
        with self._leading:
            if self._folder.is_ours():
                return True
            if self._closed.is_set() or self._table.running_count():
                return False
            try:
                if not is_wanted and not self._folder.is_there():
                    return False
                records = self._folder.take()
            except OSError:
                if is_wanted:
                    raise
                return False
            if records is None:
                self._watch()
                return False
            self._table.load(records, self._folder.present_bytes)
        self._pump()
        return True

    def _peek(self) -> tuple[DownloadStatus, ...]:
        """What another Pomona does here; counts as a change when its states have changed."""
        with self._leading:
            if not self._folder.is_taken:
                return ()
            statuses = self._folder.peek()
            states = tuple((status.job_id, status.state) for status in statuses)
            if states != self._peeked_states:
                self._peeked_states = states
                self._table.touch()
        return statuses

    def _watch(self) -> None:
        """Look now and then whether the other Pomona has ended, as long as jobs wait there."""
        if self._watcher is None or not self._watcher.is_alive():
            self._watcher = threading.Thread(target=self._look, name="queue-watch", daemon=True)
            self._watcher.start()

    def _look(self) -> None:
        while not self._closed.wait(self._limits.look_s):
            if self._lead() or not any(status.is_active for status in self._peek()):
                return
