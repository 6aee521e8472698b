"""What tests of transfers share: a loopback Hub with one model, and a folder to fetch it into."""

import hashlib
import os
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.library.transfers import ModelTransfer, TransferLimits, nothing_cached
from engine.library.transfers.journal import read_journal
from engine.records import RepoFile
from tests.loopback_hub import LFS_SUFFIXES, LoopbackHub, git_oid

REPO_ID = "o/m"
TOKEN = "hf_secret"
KB = 1_000
LIMITS = TransferLimits(
    connections=4, small_bytes=20 * KB, part_bytes=64 * KB, steal_bytes=8 * KB,
    straight_bytes=40 * KB,
    buffer_bytes=8 * KB, flush_bytes=32 * KB, flush_s=0.02, ramp_s=0.01, connect_s=5.0,
    stall_s=0.3, tries=3, restarts=2, base_s=0.01, jitter=lambda: 0.0,
)  # fmt: skip


def random_bytes(size: int, seed: int = 0) -> bytes:
    """Bytes that no two places share."""
    return random.Random(seed).randbytes(size)


FILES: Mapping[str, bytes] = {
    "config.json": b'{"model_type": "llama"}',
    "empty.txt": b"",
    "tokenizer.json": random_bytes(30 * KB, seed=1),
    "model-1.safetensors": random_bytes(300 * KB, seed=2),
    "deep/er/model-2.safetensors": random_bytes(150 * KB, seed=3),
}


def repo_file(path: str, body: bytes) -> RepoFile:
    """A file as the Hub lists it."""
    sha256 = hashlib.sha256(body).hexdigest() if path.endswith(LFS_SUFFIXES) else None
    return RepoFile(path, len(body), git_oid(body), sha256)


@dataclass(frozen=True)
class LoopbackOrigin:
    """The loopback Hub as transfers see it, and somebody who is logged in."""

    endpoint: str
    token: str = TOKEN

    def file_url(self, repo_id: str, revision: str, path: str) -> str:
        return f"{self.endpoint}/{repo_id}/resolve/{revision}/{path}"

    def headers(self) -> Mapping[str, str]:
        login = {"authorization": f"Bearer {self.token}"} if self.token else {}
        return {"user-agent": "tests", **login}


@dataclass
class Rig:
    """One model on one Hub, and the folder it is fetched into."""

    hub: LoopbackHub
    folder: Path
    files: Mapping[str, bytes] = field(default_factory=lambda: FILES)
    commit: str = ""

    def __post_init__(self) -> None:
        self.commit = self.hub.add_model(REPO_ID, self.files)

    @property
    def repo_files(self) -> list[RepoFile]:
        return [repo_file(path, body) for path, body in self.files.items()]

    def transfer(
        self,
        limits: TransferLimits = LIMITS,
        cached: Callable[[RepoFile], Path | None] = nothing_cached,
        files: list[RepoFile] | None = None,
        **origin: Any,
    ) -> ModelTransfer:
        return ModelTransfer(
            self.folder, REPO_ID, self.commit, self.repo_files if files is None else files,
            LoopbackOrigin(self.hub.url, **origin), cached=cached, limits=limits,
        )  # fmt: skip

    def cdn_path(self, path: str) -> str:
        """Where the CDN has a large file."""
        return f"/{REPO_ID}/{self.commit}/{path}"

    def on_disk(self) -> dict[str, bytes]:
        """Every file that lies in files/."""
        place = self.folder / "files"
        return {
            path.relative_to(place).as_posix(): path.read_bytes()
            for path in place.rglob("*")
            if path.is_file()
        }

    def assert_whole(self) -> None:
        """Every file is there with its own content, and the journal says so."""
        assert self.on_disk() == dict(self.files)
        assert recorded_whole(self.folder) == set(self.files)

    def assert_journal_is_true(self) -> int:
        """What the journal claims is on disk is there; returns how many bytes that are."""
        claimed_bytes = 0
        for path, entry in read_journal(self.folder).entries.items():
            for start, end in entry.present:
                with open(self.folder / "files" / path, "rb") as stream:
                    stream.seek(start)
                    assert stream.read(end - start) == self.files[path][start:end]
                claimed_bytes += end - start
        return claimed_bytes


def recorded_whole(folder: Path) -> set[str]:
    """Files that the journal calls whole and verified."""
    return {p for p, entry in read_journal(folder).entries.items() if entry.mtime_ns is not None}


def tree_of(folder: Path) -> dict[str, bytes | None]:
    """Everything below a folder; None for folders."""
    return {
        os.path.relpath(path, folder): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }
