"""What a person reads when the disk fails, and a file's bytes in their place."""

import contextlib
import errno
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from engine.errors import DownloadError, InsufficientDisk

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ESTALE, errno.ENXIO, errno.ENODEV, errno.ENOTCONN)


@contextlib.contextmanager
def disk_errors(folder: Path, missing_bytes: Callable[[], int]) -> Iterator[None]:
    """Turn what the disk raises into a DownloadError or InsufficientDisk, cause kept."""
    try:
        yield
    except OSError as error:
        raise _meaning(error, folder, missing_bytes()) from error


def folder_gone() -> DownloadError:
    """The folder that is written to is not there any more, or another one is in its place."""
    return DownloadError(
        "The folder that the model is saved in has gone away.",
        "If it is on an external drive, connect it again; then resume the download.",
    )


def _meaning(error: OSError, folder: Path, missing_bytes: int) -> DownloadError:
    if error.errno in _FULL:
        return _no_room(error, folder, missing_bytes)
    if error.errno in _READ_ONLY:
        return DownloadError(
            "The models folder cannot be written to.",
            "Allow it in the folder's permissions, or choose another folder; then resume.",
        )
    if error.errno in _GONE:
        return folder_gone()
    if error.errno == errno.ENAMETOOLONG:
        return DownloadError(
            "A name in this model is too long for this disk.", "Choose a models folder elsewhere."
        )
    if error.errno == errno.EIO:
        return DownloadError(
            "The disk could not be read or written.", "Check it for faults; then resume."
        )
    return DownloadError(
        f"The model could not be saved: {error.strerror or 'the disk refused it'}.",
        "Check the models folder and its disk; then resume.",
    )


def _no_room(error: OSError, folder: Path, missing_bytes: int) -> InsufficientDisk:
    free_bytes = 0
    with contextlib.suppress(OSError):
        free_bytes = shutil.disk_usage(folder).free
    if error.errno == errno.EFBIG or free_bytes > missing_bytes > 0:
        message = "The disk, or a limit set on it, does not allow as much as this model needs."
        hint = "Choose a models folder on another disk; then resume. Nothing is lost."
    else:
        message = "The disk is full."
        hint = "Make room, for instance by deleting a model; then resume. Nothing is lost."
    return InsufficientDisk(message, hint, missing_bytes, free_bytes)


def write_all(file_fd: int, data: memoryview, at: int) -> None:
    """Write all of ``data`` at a place. Raises OSError."""
    while data:
        count = os.pwrite(file_fd, data, at)
        data, at = data[count:], at + count


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk, where a system can do that."""
    with contextlib.suppress(OSError):
        folder_fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder_fd)
        finally:
            os.close(folder_fd)
