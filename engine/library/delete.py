"""Deleting a model that Pomona downloaded: a plan to look at, then the deed.

The folder is first renamed into ``.downloads``, in one step: from then on nothing lists it, and a
delete that is killed half-way leaves rubbish, never half a model. The rubbish goes at the next
start. Every step is taken from an open folder and follows no link, so nothing outside the model's
own folder can be reached, even when somebody swaps a folder for a link in between. A model folder
that is a link is only unlinked: what it leads to is not Pomona's.
"""

import errno
import logging
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from engine.errors import ModelError
from engine.library.sources import DOWNLOADS_NAME
from engine.records import DeletePlan

TRASH_PREFIX = "trash-"
_BLOCK_BYTES = 512  # the unit of st_blocks (POSIX)
_TRIES = 3
_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_UNCHANGED = "Nothing was deleted. See whether the disk can be written to, then try again."

logger = logging.getLogger(__name__)


def plan_delete(models_dir: Path, repo_id: str) -> DeletePlan:
    """What deleting ``<org>/<name>`` would free; nothing when it is not there. Raises ModelError.

    ``freed_bytes`` are real bytes of the disk: holes take none, and a file that has another name
    outside the folder stays.
    """
    with _told_to_a_person(repo_id), _opened_org(models_dir, repo_id) as fds:
        return _plan(models_dir, repo_id, fds[1]) if fds else _nothing(repo_id)


def execute_delete(models_dir: Path, repo_id: str) -> DeletePlan:
    """Delete ``<org>/<name>``; returns what that was, nothing when it was not there.

    Raises ModelError: the model is whole then, or off the list and its rest goes at the next start.
    """
    org, name = repo_id.split("/")
    with _told_to_a_person(repo_id), _opened_org(models_dir, repo_id) as fds:
        if fds is None:
            return _nothing(repo_id)
        root_fd, org_fd = fds
        plan = _plan(models_dir, repo_id, org_fd)
        if plan.folder is None:
            return plan
        try:
            if plan.paths == (plan.folder,):
                os.unlink(name, dir_fd=org_fd)
            else:
                _move_away_and_remove(repo_id, root_fd, org_fd)
        except FileNotFoundError:  # somebody else has just deleted it
            return _nothing(repo_id)
        finally:
            with suppress(OSError):  # it holds other models
                os.rmdir(org, dir_fd=root_fd)
        return plan


def clean_trash(models_dir: Path) -> None:
    """Remove what deletes have left that were killed. Problems are logged."""
    try:
        with _opened(models_dir) as root_fd, _opened(DOWNLOADS_NAME, root_fd) as downloads_fd:
            for name in os.listdir(downloads_fd):
                if name.startswith(TRASH_PREFIX):
                    _clean(name, downloads_fd)
    except FileNotFoundError:
        pass
    except OSError as error:
        logger.warning("deleted models were not looked for: %s", error.strerror)


def _clean(name: str, parent_fd: int) -> None:
    try:
        _remove(name, parent_fd)
    except FileNotFoundError:
        pass  # another Pomona removes it too
    except OSError as error:
        logger.warning("a deleted model is still on the disk: %s", error.strerror)


def _move_away_and_remove(repo_id: str, root_fd: int, org_fd: int) -> None:
    with suppress(FileExistsError):
        os.mkdir(DOWNLOADS_NAME, dir_fd=root_fd)
    with _opened(DOWNLOADS_NAME, root_fd) as downloads_fd:
        trash = f"{TRASH_PREFIX}{secrets.token_hex(8)}"
        os.rename(
            repo_id.split("/")[1], trash, src_dir_fd=org_fd, dst_dir_fd=downloads_fd
        )  # fmt: skip
        try:
            _remove(trash, downloads_fd)
        except FileNotFoundError:
            pass  # another Pomona is just starting, and removes it too
        except OSError as error:
            raise ModelError(
                f"“{repo_id}” is off the list, but not all of it could be removed"
                f" ({error.strerror}).",
                "Pomona tries again at its next start.",
            ) from error


def _remove(name: str, parent_fd: int) -> None:
    """Remove a folder and what is in it; of a link the link alone."""
    if not stat.S_ISDIR(os.stat(name, dir_fd=parent_fd, follow_symlinks=False).st_mode):
        os.unlink(name, dir_fd=parent_fd)
        return
    for tries_left in reversed(range(_TRIES)):
        try:
            shutil.rmtree(name, dir_fd=parent_fd)  # follows no link: it goes by open folders
            return
        except OSError as error:
            # Somebody has just put a file into it, such as a note of its last use.
            if error.errno != errno.ENOTEMPTY or not tries_left:
                raise


def _plan(models_dir: Path, repo_id: str, org_fd: int) -> DeletePlan:
    name = repo_id.split("/")[1]
    folder = models_dir / repo_id
    try:
        mode = os.stat(name, dir_fd=org_fd, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return _nothing(repo_id)
    if stat.S_ISLNK(mode):
        return DeletePlan(repo_id, folder, (folder,), 0)
    if not stat.S_ISDIR(mode):
        return _nothing(repo_id)
    paths, blocks = [], 0
    links_left: dict[int, int] = {}
    with suppress(FileNotFoundError):  # somebody else has just deleted it
        for path, file in _files_below(name, org_fd, repo_id):
            paths.append(models_dir / repo_id.split("/")[0] / path)
            links_left[file.st_ino] = links_left.get(file.st_ino, file.st_nlink) - 1
            if links_left[file.st_ino] == 0:
                blocks += file.st_blocks
    return DeletePlan(repo_id, folder, tuple(sorted(paths)), blocks * _BLOCK_BYTES)


def _files_below(name: str, parent_fd: int, repo_id: str) -> Iterator[tuple[str, os.stat_result]]:
    """Files and links below a folder, which must all be on its own disk. Raises ModelError."""
    disk = None
    for path, folders, files, folder_fd in os.fwalk(name, onerror=_fail, dir_fd=parent_fd):
        here = os.fstat(folder_fd).st_dev
        disk = here if disk is None else disk
        if here != disk:
            raise ModelError(
                f"Another disk is mounted inside the folder of “{repo_id}”.",
                "Unmount it first: Pomona deletes nothing outside the model's own folder.",
            )
        for file in (*files, *folders):
            with suppress(FileNotFoundError):  # gone meanwhile
                facts = os.stat(file, dir_fd=folder_fd, follow_symlinks=False)
                if not stat.S_ISDIR(facts.st_mode):
                    yield f"{path}/{file}", facts


def _fail(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


@contextmanager
def _opened_org(models_dir: Path, repo_id: str) -> Iterator[tuple[int, int] | None]:
    """The models folder and the org's folder in it, open; None when one of them is not there."""
    org = repo_id.split("/")[0]
    try:
        root_fd = os.open(models_dir, _FLAGS)
    except FileNotFoundError:
        yield None
        return
    try:
        try:
            org_fd = os.open(org, _FLAGS | os.O_NOFOLLOW, dir_fd=root_fd)
        except FileNotFoundError:
            yield None
            return
        except OSError as error:
            if not _is_link(org, root_fd):
                raise
            raise ModelError(
                f"“{org}” in the models folder is a link to another place, and Pomona deletes"
                " nothing outside its own folder.",
                "Remove the link, or delete the model where it is.",
            ) from error
        try:
            yield root_fd, org_fd
        finally:
            os.close(org_fd)
    finally:
        os.close(root_fd)


def _is_link(name: str, parent_fd: int) -> bool:
    return stat.S_ISLNK(os.stat(name, dir_fd=parent_fd, follow_symlinks=False).st_mode)


@contextmanager
def _opened(path: Path | str, parent_fd: int | None = None) -> Iterator[int]:
    """An open folder. The models folder itself may be a link, but nothing below it."""
    follows = 0 if parent_fd is None else os.O_NOFOLLOW
    folder_fd = os.open(path, _FLAGS | follows, dir_fd=parent_fd)
    try:
        yield folder_fd
    finally:
        os.close(folder_fd)


@contextmanager
def _told_to_a_person(repo_id: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ModelError(
            f"“{repo_id}” cannot be deleted ({error.strerror}).", _UNCHANGED
        ) from error


def _nothing(repo_id: str) -> DeletePlan:
    return DeletePlan(repo_id, None, (), 0)
