"""Downloads: speed beside huggingface_hub's, memory, what a kill costs, and many small files.

Everything is on this computer: a Hub in a process of its own, over plain HTTP. Ours checks every
hash and syncs what it writes; ``snapshot_download`` does neither.
"""

import itertools
import os
import random
import signal
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.library.transfers import TransferLimits, present_bytes
from engine.records import RepoFile
from tests.benchmarks.children import Child, running_child
from tests.benchmarks.figures import Figure, Target, alternate
from tests.engine.transfer_child import transfer_child

MB = 1_000_000
REPO_ID = "o/m"
IDLE_MB = 100.0
KILL_SHARE, KILL_BYTES = 0.02, 32 * MB
BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class DownloadEffort:
    """How much is downloaded, and how often."""

    pairs: int = 7
    shards: int = 2
    shard_mb: int = 400
    large_mb: int = 2_000
    large_runs: int = 3
    kills: int = 9
    kill_mb: int = 1_000
    kill_after_s: float = 1.5
    small_files: int = 200
    small_pairs: int = 5
    delay_s: float = 0.01


def download_figures(effort: DownloadEffort = DownloadEffort()) -> Iterable[Figure]:  # noqa: B008
    """Every figure of the group; about 3 GB of room in the temporary folder."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        bench = Bench(Path(name), stack)
        yield _throughput(bench, effort)
        yield _memory(bench, effort)
        yield _small_files(bench, effort)
        yield _kills(bench, effort)


class Bench:
    """A Hub, somebody who downloads from it, and a folder for both."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self._server = stack.enter_context(running_child("download_server"))
        self._client: Child = stack.enter_context(running_child("download_bench"))
        self._numbers = itertools.count()

    @contextmanager
    def model(self, files: Iterable[tuple[str, int]], delay_s: float = 0) -> Iterator[Any]:
        """A model of random files with these names and sizes, which are gone afterwards."""
        number = next(self._numbers)
        source = self.folder / f"source-{number}"
        source.mkdir()
        for name, size_bytes in files:
            write_random(source / name, size_bytes)
        order = {"repo_id": f"{REPO_ID}{number}", "folder": str(source), "delay_s": delay_s}
        yield {**self._server.ask(order), "repo_id": order["repo_id"], "source": source}
        for path in source.iterdir():
            path.unlink()

    def download(
        self, model: dict[str, Any], who: str, client: Child | None = None
    ) -> dict[str, float]:
        """Download a model into a new folder, which is gone afterwards."""
        folder = self.folder / f"target-{next(self._numbers)}"
        order = {**model, "who": who, "folder": str(folder), "source": ""}
        figures: dict[str, float] = (client or self._client).ask(order)
        return figures


def write_random(path: Path, size_bytes: int) -> None:
    """A file of one random megabyte over and over, each with its number in it.

    No two names get the same content: huggingface_hub would fetch that once.
    """
    block = bytearray(random.Random(path.name).randbytes(min(BLOCK_BYTES, max(1, size_bytes))))
    with open(path, "wb") as stream:
        for number, at in enumerate(range(0, size_bytes, len(block))):
            block[:8] = (number + 1).to_bytes(8, "big")[: len(block[:8])]
            stream.write(block[: size_bytes - at])


def _throughput(bench: Bench, effort: DownloadEffort) -> Figure:
    size_mb = effort.shards * effort.shard_mb
    shards = [(f"model-{n}.safetensors", effort.shard_mb * MB) for n in range(effort.shards)]
    with bench.model([("config.json", 100), *shards]) as model:
        pairs = alternate(
            lambda: size_mb / bench.download(model, "ours")["seconds"],
            lambda: size_mb / bench.download(model, "theirs")["seconds"],
            effort.pairs,
        )
    return Figure("download with hashes / snapshot_download", "MB/s", pairs, Target(1.5))


def _memory(bench: Bench, effort: DownloadEffort) -> Figure:
    """In a fresh process each time: one that downloaded before has room to spare."""
    pairs = []
    with bench.model([("model.safetensors", effort.large_mb * MB)]) as model:
        for _ in range(effort.large_runs):
            with running_child("download_bench") as client:
                above_bytes = bench.download(model, "ours", client)["above_idle_bytes"]
                pairs.append((above_bytes / MB, IDLE_MB))
    name = f"memory above idle, {effort.large_mb / 1000:g} GB file / {IDLE_MB:g} MB"
    return Figure(name, "MB", tuple(pairs), Target(1.0, is_upper=True), best=min)


def _small_files(bench: Bench, effort: DownloadEffort) -> Figure:
    files = [(f"{number}.json", 2_000) for number in range(effort.small_files)]
    with bench.model(files, effort.delay_s) as model:
        pairs = alternate(
            lambda: bench.download(model, "ours")["seconds"],
            lambda: bench.download(model, "one by one")["seconds"],
            effort.small_pairs,
        )
    name = f"{effort.small_files} small files, {effort.delay_s * 1000:g} ms away / one by one"
    return Figure(name, "s", pairs, Target(3), best=min, is_speedup=True)


def _kills(bench: Bench, effort: DownloadEffort) -> Figure:
    """What was on disk and is not recorded is what the next transfer fetches again."""
    draw = random.Random(5)
    pairs: list[tuple[float, float]] = []
    with (
        bench.model([("model.safetensors", effort.kill_mb * MB)]) as model,
        transfer_child() as child,
    ):
        files = [RepoFile(**file) for file in model["files"]]
        while len(pairs) < effort.kills:
            folder = bench.folder / f"kill-{len(pairs)}"
            child_id = child.start(
                folder, model["url"], model["commit"], files, TransferLimits(), model["repo_id"], ""
            )
            time.sleep(draw.uniform(0.1, 1.0) * effort.kill_after_s)
            os.kill(child_id, signal.SIGKILL)
            was_killed = child.wait() != 0
            found = folder / "files" / "model.safetensors"
            if was_killed and found.exists():
                disk_bytes = equal_bytes(found, model["source"] / found.name)
                again_bytes = max(0, disk_bytes - present_bytes(folder, files))
                pairs.append((again_bytes / MB, max(KILL_BYTES, KILL_SHARE * disk_bytes) / MB))
            found.unlink(missing_ok=True)
    name = "fetched again after kill -9 / the more of 2 % and 32 MB"
    return Figure(name, "MB", tuple(pairs), Target(1.0, is_upper=True), best=min)


def equal_bytes(found: Path, source: Path) -> int:
    """How many bytes of a half-written file are there already, to 64 kB."""
    step, count = 1 << 16, 0
    with open(found, "rb") as one, open(source, "rb") as other:
        while theirs := other.read(step):
            count += len(theirs) if one.read(step) == theirs else 0
    return count
