"""The last step of a download: a whole model takes its place by one rename.

A model that is there already is moved into the job's ``old`` folder first, under the name of where
it belongs, so that whoever finds it there after a crash knows where to put it back. At any moment
the old model or the new one can be found, never neither.
"""

import errno
import os
import stat
from pathlib import Path

from engine.errors import DownloadError
from engine.library.jobs import FILES_NAME, OLD_NAME
from engine.library.transfers.disk import sync_folder

_TRIES = 3
# Somebody has just put something there, or a delete has removed the owner's empty folder.
_IN_BETWEEN = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT)


def check_target(target: Path) -> None:
    """Make sure that nothing of ours would be written through a link. Raises DownloadError."""
    for path, what in ((target.parent, "folder of its owner"), (target, "folder of this model")):
        try:
            mode = path.lstat().st_mode
        except FileNotFoundError:
            continue
        if not stat.S_ISDIR(mode):
            kind = "a link" if stat.S_ISLNK(mode) else "a file"
            raise DownloadError(
                f"In the models folder, the {what} is {kind}.",
                "Pomona writes into plain folders only; move it away and try again.",
            )


def place_model(job_folder: Path, target: Path) -> None:
    """Put ``<job_folder>/files`` at ``target``, and what was there into ``<job_folder>/old``.

    Raises DownloadError where a link is in the way, and OSError.
    """
    for tries_left in reversed(range(_TRIES)):
        target.parent.mkdir(exist_ok=True)
        check_target(target)
        if os.path.lexists(target):
            os.rename(target, _free_place(job_folder, target))
        try:
            os.rename(job_folder / FILES_NAME, target)
            break
        except OSError as error:
            if error.errno not in _IN_BETWEEN or not tries_left:
                put_back_old(job_folder, target.parent.parent)
                raise
    sync_folder(target.parent)
    sync_folder(target.parent.parent)


def put_back_old(job_folder: Path, models_dir: Path) -> None:
    """Undo half a replacement: a model set aside returns to its place if that is empty."""
    for old in sorted((job_folder / OLD_NAME).glob("*/*/*")):
        target = models_dir / old.parent.name / old.name
        if not os.path.lexists(target) and not target.parent.is_symlink():
            target.parent.mkdir(exist_ok=True)
            os.rename(old, target)


def _free_place(job_folder: Path, target: Path) -> Path:
    """``old/<n>/<org>/<name>``, the first n that is free."""
    number = 1
    while os.path.lexists(job_folder / OLD_NAME / str(number)):
        number += 1
    place = job_folder / OLD_NAME / str(number) / target.parent.name / target.name
    place.parent.mkdir(parents=True)
    return place
