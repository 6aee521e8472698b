"""What a person reads when a download cannot go on: a sentence and what to do next. Pure.

No sentence has a path of this computer or the system's own words in it.
"""

import errno
import time

from engine.errors import DownloadError, InsufficientDisk, RateLimited

_FULL = (errno.ENOSPC, errno.EDQUOT)
_READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)
_GONE = (errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.ESTALE)

UNEXPECTED = "It ended for a reason that Pomona did not expect; the log has it. Try again."


def folder_error(error: OSError) -> DownloadError:
    """The models folder refuses; InsufficientDisk when its disk is full."""
    if error.errno in _FULL:
        return InsufficientDisk(
            "The disk is full.", "Make room, then resume; nothing that came is lost.", 0, 0
        )
    if error.errno in _READ_ONLY:
        return DownloadError(
            "The models folder cannot be written to.",
            "Check its permissions, or choose another one with --models-dir.",
        )
    if error.errno in _GONE:
        return folder_gone()
    return DownloadError(
        "The models folder could not be used.", "Check the disk that it is on, then try again."
    )


def folder_gone() -> DownloadError:
    """The folder, or what was downloaded in it, has been taken away."""
    return DownloadError(
        "The models folder, or the download in it, is no longer there.",
        "If it is on another drive, connect that, then try again.",
    )


def another_pomona() -> DownloadError:
    """Two of them use one folder, and this is the second."""
    return DownloadError(
        "Another Pomona is downloading into this folder.",
        "Use that one, or close it: this one then goes on with its downloads.",
    )


def no_room(needed_bytes: int, free_bytes: int) -> InsufficientDisk:
    """The files and the margin would not fit."""
    return InsufficientDisk(
        f"There is not enough room on the disk: {_size(needed_bytes)} needed with a margin and what"
        f" other downloads still want, {_size(free_bytes)} free.",
        f"Free {_size(needed_bytes - free_bytes)}, then try again.",
        needed_bytes,
        free_bytes,
    )


def rate_limited(error: RateLimited) -> str:
    """When the Hub may be asked again."""
    again_at = time.localtime(time.time() + error.retry_after_s)
    return f"{error.text} That is after {time.strftime('%H:%M on %d %B', again_at)}."


def unknown_job() -> DownloadError:
    """An id that was not given out, or is off the list."""
    return DownloadError("There is no such download.", "It is no longer on the list.")


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:,.1f} GB" if size_bytes >= 1e8 else f"{size_bytes / 1e6:,.0f} MB"
