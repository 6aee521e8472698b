"""Files that the Hugging Face cache already holds, found by their hash. Only read."""

import os
import stat
from pathlib import Path
from string import hexdigits

from engine.library.sources import entry_names
from engine.records import RepoFile

_REPOS = ("models--", "datasets--", "spaces--")


def find_blob(cache_dir: Path, file: RepoFile, most_repos: int) -> Path | None:
    """A plain file of the cache whose name is the hash of ``file``, and which is as large.

    The cache calls a blob by its SHA-256 where it is a large file, else by its git hash, in a
    folder per repo. Its content is the caller's to check. Links are not followed.
    """
    name = file.sha256 or file.git_oid
    if name is None or len(name) not in (40, 64) or set(name) - set(hexdigits):
        return None
    repos = sorted(repo for repo in entry_names(cache_dir) if repo.startswith(_REPOS))
    for repo in repos[:most_repos]:
        blobs = cache_dir / repo / "blobs"
        facts = _facts(blobs / name)
        if facts is None or not stat.S_ISREG(facts.st_mode) or facts.st_size != file.size_bytes:
            continue
        folders = (_facts(cache_dir / repo), _facts(blobs))
        if all(folder is not None and stat.S_ISDIR(folder.st_mode) for folder in folders):
            return blobs / name
    return None


def _facts(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except OSError:
        return None
