"""Downloads on disk: a folder per job below ``<models folder>/.downloads``, and what is in it.

::

    .downloads/lock              held by the Pomona that runs the queue
    .downloads/<job_id>/job.json which files of which commit, and whether the person paused it
                        files/   what has been fetched, as the transfer's journal describes it
                        old/     <n>/<org>/<name>, the model being replaced, for a moment

Job ids are random numbers given out here; nothing that comes from outside is ever part of a path.
"""

import contextlib
import json
import logging
import os
import re
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from engine.library.metadata import is_plain_path, read_object, replace_file
from engine.records import RepoFile

FOLDER_NAME = ".downloads"
JOB_NAME = "job.json"
FILES_NAME = "files"
OLD_NAME = "old"
MAX_JOB_BYTES = 16_000_000
MAX_JOBS = 1_000
_MAX_FILE_BYTES = 10**15
_JOB_ID = re.compile(r"[0-9a-f]{16}")
_REPO_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*/[A-Za-z0-9_][A-Za-z0-9._-]*")
_REVISION = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")

StoredState = Literal["queued", "running", "paused", "failed", "placing", "cancelled"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class JobRecord:
    """What a restart must know of a job.

    ``sequence`` is the place in the line, the lowest first. One that ``reuses`` looks first which
    files of the installed model are good. "placing" is said before the first rename at the end.
    """

    job_id: str
    repo_id: str
    revision: str
    files: tuple[RepoFile, ...]
    sequence: int
    reuses: bool = False
    state: StoredState = "queued"
    error: str = ""

    @property
    def total_bytes(self) -> int:
        """Bytes of the whole model."""
        return sum(file.size_bytes for file in self.files)


def new_job_id() -> str:
    """A name that nobody can guess and no other job has."""
    return secrets.token_hex(8)


def is_storable_name(repo_id: str) -> bool:
    """Whether this is an ``owner/name`` that two folders can be named after."""
    return _REPO_ID.fullmatch(repo_id) is not None and ".." not in repo_id


class JobStore:
    """The jobs below one models folder. Not safe for two threads on one job."""

    def __init__(self, models_dir: Path) -> None:
        self.models_dir = models_dir
        self.folder = models_dir / FOLDER_NAME

    def job_folder(self, job_id: str) -> Path:
        """Where a job keeps its things. Raises ValueError for what is no job id."""
        if not _JOB_ID.fullmatch(job_id):
            raise ValueError("not a job id")
        return self.folder / job_id

    def target(self, repo_id: str) -> Path:
        """Where the whole model goes. Raises ValueError for what is no owner/name."""
        if not is_storable_name(repo_id):
            raise ValueError("not an owner and a name")
        return self.models_dir.joinpath(*repo_id.split("/"))

    def save(self, record: JobRecord) -> None:
        """Put a job on disk, all of it or nothing. Raises OSError."""
        folder = self.job_folder(record.job_id)
        folder.mkdir(exist_ok=True)
        raw = {"format": 1, **asdict(record)}
        folder_fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            replace_file(folder_fd, JOB_NAME, json.dumps(raw).encode())
        finally:
            os.close(folder_fd)

    def load(self) -> list[JobRecord]:
        """Every job that can be read, in order. Raises OSError for an unreadable folder."""
        records = (self._read(name) for name in self._job_ids())
        return sorted((r for r in records if r is not None), key=lambda record: record.sequence)

    def set_aside_broken(self) -> None:
        """Rename the folders of jobs whose record makes no sense: a person may still look there."""
        for name in self._job_ids():
            if self._read(name) is None:
                logger.warning("the record of download %s is broken; it was kept aside", name)
                with contextlib.suppress(OSError):
                    (self.folder / name).rename(self.folder / f"{name}.broken")

    def remove(self, job_id: str) -> None:
        """Delete everything of a job; links in it are deleted, never followed. Raises OSError."""
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self.job_folder(job_id))

    def folders(self) -> list[Path]:
        """Every folder below this one, of whatever jobs; links left out. Raises OSError."""
        try:
            with os.scandir(self.folder) as entries:
                found = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        except FileNotFoundError:
            return []
        return [self.folder / name for name in sorted(found)]

    def _job_ids(self) -> list[str]:
        names = (folder.name for folder in self.folders())
        return [name for name in names if _JOB_ID.fullmatch(name)][:MAX_JOBS]

    def _read(self, job_id: str) -> JobRecord | None:
        try:
            folder_fd = os.open(self.folder / job_id, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            raw = read_object(folder_fd, JOB_NAME, MAX_JOB_BYTES)
            return None if raw is None else _record_from_json(job_id, raw)
        except (LookupError, TypeError, ValueError):
            return None
        finally:
            os.close(folder_fd)


def _record_from_json(job_id: str, raw: Mapping[str, Any]) -> JobRecord:
    """A record from what is on disk. Raises ValueError, TypeError or LookupError for nonsense."""
    record = JobRecord(
        job_id=job_id,
        repo_id=raw["repo_id"],
        revision=raw["revision"],
        files=tuple(_file_from_json(entry) for entry in raw["files"]),
        sequence=raw["sequence"],
        reuses=raw["reuses"],
        state=raw["state"],
        error=raw["error"],
    )
    is_sane = (
        raw["format"] == 1
        and is_storable_name(record.repo_id)
        and _REVISION.fullmatch(record.revision) is not None
        and type(record.sequence) is int
        and type(record.reuses) is bool
        and record.state in get_args(StoredState)
        and isinstance(record.error, str)
        and len({file.path for file in record.files}) == len(record.files)
    )
    if not is_sane:
        raise ValueError("not a job")
    return record


def _file_from_json(raw: Mapping[str, Any]) -> RepoFile:
    file = RepoFile(raw["path"], raw["size_bytes"], raw["git_oid"], raw["sha256"])
    is_sane = (
        isinstance(file.path, str)
        and is_plain_path(file.path)
        and type(file.size_bytes) is int
        and 0 <= file.size_bytes < _MAX_FILE_BYTES
        and (file.git_oid is None or _REVISION.fullmatch(file.git_oid) is not None)
        and (file.sha256 is None or _SHA256.fullmatch(file.sha256) is not None)
    )
    if not is_sane:
        raise ValueError("not a file of a repo")
    return file
