"""The table of jobs: one lock, states that change, and frozen snapshots for whoever looks."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import cast

from engine.library.job_run import JobRun
from engine.library.jobs import JobRecord, StoredState, new_job_id
from engine.records import DownloadState, DownloadStatus, RepoFile

RUNNING: tuple[DownloadState, ...] = ("running", "verifying")
ENDED: tuple[DownloadState, ...] = ("done", "cancelled")
MAX_ENDED = 50
_ORDER: tuple[DownloadState, ...] = ("running", "verifying", "queued", "paused", "failed", *ENDED)


@dataclass
class Job:
    """A job in the table, changed under the table's lock.

    ``run`` is there while a thread works on it, which may be a moment longer than its state says;
    ``has_ended`` is set when none does. ``saving`` lets one thread write its record at a time.
    """

    record: JobRecord
    state: DownloadState
    done_bytes: int = 0
    error: str = ""
    run: JobRun | None = None
    is_removed: bool = False
    shown_state: DownloadState = "queued"
    has_ended: threading.Event = field(default_factory=threading.Event)
    saving: threading.Lock = field(default_factory=threading.Lock)

    @property
    def remaining_bytes(self) -> int:
        """What it still wants of the disk."""
        done = self.run.progress().done_bytes if self.run else self.done_bytes
        return max(0, self.record.total_bytes - done)

    def to_record(self, is_placing: bool = False) -> JobRecord:
        """What a restart must know of it."""
        state = "placing" if is_placing else "running" if self.state in RUNNING else self.state
        return replace(self.record, state=cast(StoredState, state), error=self.error)


class JobTable:
    """All jobs by id. ``lock`` guards it; methods take it themselves."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.jobs: dict[str, Job] = {}
        self.version = 0
        self._sequence = 0

    def touch(self) -> None:
        """Count a change."""
        with self.lock:
            self.version += 1

    def load(self, records: Iterable[JobRecord], present: Callable[[JobRecord], int]) -> None:
        """Replace what is unfinished by what was found on disk; what ran there waits again."""
        found = {record.job_id: _from_disk(record, present(record)) for record in records}
        with self.lock:
            ended = {job_id: job for job_id, job in self.jobs.items() if job.state in ENDED}
            self.jobs = ended | found
            self._sequence = max([self._sequence, *(j.record.sequence for j in found.values())])
            self.version += 1

    def add(
        self,
        repo_id: str,
        revision: str,
        files: tuple[RepoFile, ...],
        reuses: bool = False,
        state: DownloadState = "queued",
    ) -> Job:
        """A new job at the end of the line; ended ones of the same model leave the table."""
        with self.lock:
            self._sequence += 1
            record = JobRecord(new_job_id(), repo_id, revision, files, self._sequence, reuses)
            ended = [j for j in self.jobs.values() if j.state in ENDED and j.run is None]
            for count_left, old in zip(range(len(ended), 0, -1), ended, strict=True):
                if count_left >= MAX_ENDED or old.record.repo_id == repo_id:
                    del self.jobs[old.record.job_id]
            job = Job(record, state, shown_state=state)
            job.done_bytes = record.total_bytes if state == "done" else 0
            job.has_ended.set()
            self.jobs[record.job_id] = job
            self.version += 1
        return job

    def drop(self, job: Job) -> None:
        """Take a job off the list."""
        with self.lock:
            self.jobs.pop(job.record.job_id, None)
            self.version += 1

    def change(self, job: Job, state: DownloadState, error: str = "") -> None:
        """Give a job another state."""
        with self.lock:
            job.state = job.shown_state = state
            job.error = error
            self.version += 1

    def waiting(self) -> list[Job]:
        """Queued jobs in order."""
        with self.lock:
            queued = (job for job in self.jobs.values() if job.state == "queued")
            return sorted(queued, key=lambda job: job.record.sequence)

    def running_count(self) -> int:
        """How many jobs have a thread."""
        with self.lock:
            return sum(job.run is not None for job in self.jobs.values())

    def statuses(self) -> tuple[DownloadStatus, ...]:
        """Snapshots of all jobs in the order in which they are shown."""
        with self.lock:
            jobs = sorted(self.jobs.values(), key=lambda job: job.record.sequence)
            return in_order([self._status(job) for job in jobs])

    def status(self, job: Job) -> DownloadStatus:
        """A snapshot of one job."""
        with self.lock:
            own = self._status(job)
            return next((s for s in self.statuses() if s.job_id == own.job_id), own)

    def _status(self, job: Job) -> DownloadStatus:
        record, state, done_bytes = job.record, job.state, job.done_bytes
        bytes_per_s, eta_s, notice = 0.0, None, ""
        if job.run is not None and state != "done":
            now = job.run.progress()
            done_bytes = now.done_bytes
            if state in RUNNING:
                state = "verifying" if now.is_verifying else "running"
                bytes_per_s, eta_s, notice = now.bytes_per_s, now.eta_s, now.notice
        if state != job.shown_state:
            job.shown_state = state
            self.version += 1
        return DownloadStatus(
            job_id=record.job_id,
            repo_id=record.repo_id,
            revision=record.revision,
            state=state,
            done_bytes=done_bytes,
            total_bytes=record.total_bytes,
            bytes_per_s=bytes_per_s,
            eta_s=eta_s,
            error=job.error,
            notice=notice,
        )


def in_order(statuses: Iterable[DownloadStatus]) -> tuple[DownloadStatus, ...]:
    """Running first, then waiting with their positions, then paused and failed, ended ones last.

    ``statuses`` come in the order of the line.
    """
    position = 0
    placed = []
    for status in statuses:
        if status.state == "queued":
            position += 1
            status = replace(status, position=position)
        placed.append(status)
    return tuple(sorted(placed, key=lambda status: _ORDER.index(status.state)))


def _from_disk(record: JobRecord, done_bytes: int) -> Job:
    state: DownloadState = "queued"
    if record.state in ("paused", "failed"):
        state = record.state
    job = Job(record, state, done_bytes, record.error if state != "queued" else "")
    job.shown_state = state
    job.has_ended.set()
    return job
