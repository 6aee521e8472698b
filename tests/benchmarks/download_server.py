"""A loopback Hub in a process of its own, whose files lie on disk and are sent without a copy.

Reads a JSON object a line: repo_id, folder, and delay_s before each answer, as a distant server
has it. Adds the files in the folder as a model and answers with url, commit and files.
"""

import json
import mmap
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from engine.records import RepoFile
from tests.loopback_hub import LFS_SUFFIXES, Content, LoopbackHub, git_oid, sha256


def _mapped(path: Path) -> Content:
    """A file's content, read from the disk as it is sent."""
    if path.stat().st_size == 0:
        return b""
    with open(path, "rb") as stream:
        return memoryview(mmap.mmap(stream.fileno(), 0, prot=mmap.PROT_READ))


def _add(hub: LoopbackHub, order: dict[str, Any]) -> dict[str, Any]:
    files = {path.name: _mapped(path) for path in sorted(Path(order["folder"]).iterdir())}
    commit = hub.add_model(order["repo_id"], files)
    hub.clear()
    if order["delay_s"]:
        hub.fault("/", times=None, delay_s=order["delay_s"])
    listed = [
        RepoFile(name, len(body), None, sha256(body))
        if name.endswith(LFS_SUFFIXES)
        else RepoFile(name, len(body), git_oid(body))
        for name, body in files.items()
    ]
    return {"url": hub.url, "commit": commit, "files": [asdict(file) for file in listed]}


def main() -> None:
    """Serve until standard input ends."""
    with LoopbackHub() as hub:
        for line in sys.stdin:
            print(json.dumps(_add(hub, json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
