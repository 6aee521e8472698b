"""What an installed model lends to its repair or update: its files, under a second name."""

import os
import re
import shutil
import stat
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path, PurePosixPath

from engine.errors import Cancelled
from engine.library.metadata import METADATA_NAME
from engine.records import RepoFile

_CHUNK_BYTES = 4_000_000
_WEIGHTS = re.compile(r"^model[^/]*\.safetensors(?:\.index\.json)?$", re.IGNORECASE)


def lend_files(
    installed: Path, staging: Path, files: Sequence[RepoFile], is_stopped: Callable[[], bool]
) -> None:
    """Bring every file of the right size from ``installed`` into ``staging``.

    Whether the content is right too is for the transfer to find out, which unlinks what is not
    and never writes into it. Raises Cancelled and OSError.
    """
    for file in files:
        target = staging / file.path
        if not os.path.lexists(target) and _is_plain_file(installed, file.path, file.size_bytes):
            link_or_copy(installed / file.path, target, is_stopped)
        if is_stopped():
            raise Cancelled()


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
        with source.open("rb") as reading, part.open("wb") as writing:
            while chunk := reading.read(_CHUNK_BYTES):
                if is_stopped():
                    raise Cancelled()
                writing.write(chunk)
            writing.flush()
            os.fsync(writing.fileno())
        shutil.copystat(source, part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


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
