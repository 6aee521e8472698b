"""Transfers in processes that can be killed.

    python -m tests.engine.transfer_child

Reads one JSON object a line: folder, url, commit, files, limits, repo_id, token. For each it forks
a process that runs the transfer, prints its id, and at its end how it ended: 0 is whole, -9 killed.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from engine.errors import EngineError
from engine.library.transfers import ModelTransfer, TransferLimits
from engine.records import RepoFile
from tests.engine.transferring import REPO_ID, TOKEN, LoopbackOrigin

ROOT = Path(__file__).resolve().parent.parent.parent


class TransferChild:
    """The other end of this module: starts transfers, and waits for how they end."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdin is not None and process.stdout is not None
        self._stdin, self._stdout = process.stdin, process.stdout

    def start(
        self,
        folder: Path,
        url: str,
        commit: str,
        files: list[RepoFile],
        limits: TransferLimits,
        repo_id: str = REPO_ID,
        token: str = TOKEN,
    ) -> int:
        """Start a transfer; its process id."""
        known = {name: value for name, value in asdict(limits).items() if name != "jitter"}
        order = {
            "folder": str(folder), "url": url, "commit": commit, "limits": known,
            "repo_id": repo_id, "token": token,
            "files": [asdict(file) for file in files],
        }  # fmt: skip
        self._stdin.write(json.dumps(order) + "\n")
        self._stdin.flush()
        return int(self._stdout.readline())

    def wait(self) -> int:
        """How the one that was started last ended."""
        return int(self._stdout.readline())


@contextmanager
def transfer_child() -> Iterator[TransferChild]:
    """A child that has everything imported already."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.engine.transfer_child"],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "NO_PROXY": "127.0.0.1"},
    )  # fmt: skip
    with process:
        try:
            yield TransferChild(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()


def _run(order: dict[str, Any]) -> None:
    files = [RepoFile(**file) for file in order["files"]]
    transfer = ModelTransfer(
        Path(order["folder"]), order["repo_id"], order["commit"], files,
        LoopbackOrigin(order["url"], order["token"]),
        limits=replace(TransferLimits(), **order["limits"]),
    )  # fmt: skip
    transfer.run()


def main() -> None:
    """Take orders until there are no more."""
    for line in sys.stdin:
        child_id = os.fork()
        if child_id == 0:
            status = 1
            try:
                _run(json.loads(line))
                status = 0
            except EngineError as error:
                print(error.text, file=sys.stderr)
            finally:
                os._exit(status)
        print(child_id, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child_id, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
