"""Downloads in a process of their own: ours, and huggingface_hub's over plain HTTP.

Reads a JSON object a line: who ("ours", "theirs", "one by one"), folder, url, commit, repo_id,
files. Answers with seconds, and above_idle_bytes: what its memory grew by meanwhile, at most.
"""

import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from huggingface_hub import constants, snapshot_download
from huggingface_hub.utils import disable_progress_bars

from engine.library.transfers import ModelTransfer, TransferLimits
from engine.records import RepoFile
from tests.benchmarks.memory import resident_bytes
from tests.engine.transferring import LoopbackOrigin

SAMPLE_S = 0.01


def _ours(order: dict[str, Any], limits: TransferLimits) -> None:
    ModelTransfer(
        Path(order["folder"]), order["repo_id"], order["commit"],
        [RepoFile(**file) for file in order["files"]], LoopbackOrigin(order["url"], ""),
        limits=limits,
    ).run()  # fmt: skip


def _theirs(order: dict[str, Any]) -> None:
    snapshot_download(
        order["repo_id"], cache_dir=order["folder"], endpoint=order["url"], token=False
    )


WAYS: dict[str, Callable[[dict[str, Any]], None]] = {
    "ours": lambda order: _ours(order, TransferLimits()),
    "theirs": _theirs,
    "one by one": lambda order: _ours(order, TransferLimits(connections=1)),
}


def _measured(work: Callable[[], None]) -> dict[str, float]:
    idle_bytes = highest_bytes = resident_bytes()
    is_done = threading.Event()

    def watch() -> None:
        nonlocal highest_bytes
        while not is_done.wait(SAMPLE_S):
            highest_bytes = max(highest_bytes, resident_bytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    started_at = time.perf_counter()
    try:
        work()
    finally:
        seconds = time.perf_counter() - started_at
        is_done.set()
        watcher.join()
    return {"seconds": seconds, "above_idle_bytes": highest_bytes - idle_bytes}


def main() -> None:
    """Download until standard input ends; what was downloaded is deleted again."""
    os.environ["NO_PROXY"] = "127.0.0.1"
    constants.HF_HUB_OFFLINE = False
    constants.HF_HUB_DISABLE_XET = True
    constants.HF_HUB_DISABLE_TELEMETRY = True
    disable_progress_bars()
    for line in sys.stdin:
        order = json.loads(line)
        figures = _measured(lambda order=order: WAYS[order["who"]](order))  # type: ignore[misc]
        print(json.dumps(figures), flush=True)
        shutil.rmtree(order["folder"])


if __name__ == "__main__":
    main()
