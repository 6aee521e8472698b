"""What an installed model lends to its repair or update: the files of it that are right."""

import os
import re
import shutil
import stat
from collections.abc import Callable, Collection, Iterator
from pathlib import Path, PurePosixPath

from engine.errors import Cancelled
from engine.library.jobs import FILES_NAME, JobRecord
from engine.library.metadata import METADATA_NAME
from engine.library.transfers.hashing import Digest
from engine.library.transfers.journal import Journal, Synced

_CHUNK_BYTES = 4_000_000
_WEIGHTS = re.compile(r"^model[^/]*\.safetensors(?:\.index\.json)?$", re.IGNORECASE)


def lend_files(
    installed: Path,
    job_folder: Path,
    record: JobRecord,
    is_stopped: Callable[[], bool],
    on_checked: Callable[[int], None],
) -> None:
    """Bring every file of the right content from ``installed`` into a job, noted in its journal.

    ``on_checked`` is told the bytes that are right so far, with those of the file being read.
    Raises Cancelled and OSError.
    """
    staging = job_folder / FILES_NAME
    staging.mkdir(exist_ok=True)
    good_bytes = 0
    journal = Journal(job_folder, record.revision)
    try:
        for file in record.files:
            source, target = installed / file.path, staging / file.path
            if os.path.lexists(target):  # lent before a pause, or partly fetched
                continue
            if not _is_plain_file(installed, file.path, file.size_bytes):
                continue
            digest = Digest(file)
            for chunk in _iter_chunks(source, is_stopped):
                digest.update(chunk)
                on_checked(good_bytes + digest.done_bytes)
            if digest.matches():
                link_or_copy(source, target, is_stopped)
                mtime_ns = target.stat(follow_symlinks=False).st_mtime_ns
                journal.record([Synced(file, None, (), mtime_ns)])
                good_bytes += file.size_bytes
    finally:
        journal.close()


def carry_over(
    installed: Path,
    staging: Path,
    replaced: Collection[str],
    is_stopped: Callable[[], bool],
) -> None:
    """Bring what a person has put beside the model; ``replaced`` and weights stay behind.

    mlx-lm loads every ``model*.safetensors`` it finds, so one that is not of this version would
    spoil the model. Raises Cancelled and OSError.
    """
    for path in _plain_files(installed):
        is_ours = path in replaced or path.startswith(METADATA_NAME)
        if not is_ours and not _WEIGHTS.match(path) and not os.path.lexists(staging / path):
            link_or_copy(installed / path, staging / path, is_stopped)


def link_or_copy(source: Path, target: Path, is_stopped: Callable[[], bool]) -> None:
    """The same file under a second name, or the same content. Raises Cancelled and OSError."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target, follow_symlinks=False)
        return
    except OSError:
        pass  # another disk, or one without links, such as exFAT
    part = target.with_name(f"{target.name[:200]}.copy")
    try:
        with part.open("wb") as writing:
            for chunk in _iter_chunks(source, is_stopped):
                writing.write(chunk)
            writing.flush()
            os.fsync(writing.fileno())
        shutil.copystat(source, part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _iter_chunks(path: Path, is_stopped: Callable[[], bool]) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            if is_stopped():
                raise Cancelled()
            yield chunk


def _is_plain_file(folder: Path, path: str, size_bytes: int) -> bool:
    """Whether ``path`` is a file of that size, with no link on the way to it."""
    parts = PurePosixPath(path).parts
    try:
        steps = [folder.joinpath(*parts[: n + 1]).lstat() for n in range(len(parts))]
    except OSError:
        return False
    *folders, file = steps
    return (
        all(stat.S_ISDIR(step.st_mode) for step in folders)
        and stat.S_ISREG(file.st_mode)
        and file.st_size == size_bytes
    )


def _plain_files(folder: Path) -> Iterator[str]:
    """Paths of the files below ``folder``, links left out."""
    for place, _, names in os.walk(folder, followlinks=False):
        for name in names:
            path = Path(place) / name
            if stat.S_ISREG(path.lstat().st_mode):
                yield path.relative_to(folder).as_posix()
