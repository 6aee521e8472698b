"""What tests of downloads share: a loopback Hub with tiny models, and Downloads on one folder."""

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from engine.discover import Discover
from engine.downloads import Downloads
from engine.hub import HubClient
from engine.library import Library
from engine.library.queue_limits import QueueLimits
from engine.library.transfers import TransferLimits
from engine.patience import Patience
from engine.records import DownloadStatus
from engine.settings import Settings
from tests.conftest import settings_in
from tests.loopback_hub import LoopbackHub
from tests.models import write_model

DEADLINE_S = 30.0
BUDGET_BYTES = 12_000_000_000
PEAR = "pear/Pear-1B-4bit"
ARCHITECTURES = ("llama",)
LIMITS = QueueLimits(margin_bytes=0, look_s=0.05)
TRANSFER_LIMITS = TransferLimits(base_s=0.01, tries=3)


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, Pomona's own left out."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".pomona.json"
    }


def model_files(folder: Path, seed: int = 0, shards: int = 2) -> dict[str, bytes]:
    """A tiny llama as a repo holds it, with things that nobody should fetch."""
    write_model(folder, seed=seed, shards=shards)
    return {
        **files_of(folder),
        "README.md": b"# A card",
        "LICENSE": b"free",
        "modeling_pear.py": b"print('never')",
        "pytorch_model.bin": b"\x80\x04never",
        "original/consolidated.safetensors": b"never",
    }


def wanted(files: dict[str, bytes]) -> dict[str, bytes]:
    """What of ``model_files`` belongs on a person's disk."""
    refused = (".py", ".bin")
    return {n: b for n, b in files.items() if not n.endswith(refused) and "/" not in n}


def wait_for(what: Callable[[], object], deadline_s: float = DEADLINE_S) -> None:
    """Wait until something is so."""
    end = time.monotonic() + deadline_s
    while not what():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.01)


def open_downloads(
    settings: Settings,
    url: str,
    limits: QueueLimits = LIMITS,
    transfer_limits: TransferLimits = TRANSFER_LIMITS,
    **environ: str,
) -> tuple[Downloads, Discover]:
    """Downloads as the engine opens them, with nobody's login."""
    env = {"HF_ENDPOINT": url, "HOME": "/nowhere", **environ}
    client = HubClient(env, patience=Patience(base_s=0.0))
    library = Library(settings, lambda: ARCHITECTURES, lambda: BUDGET_BYTES)
    discover = Discover(settings, client, lambda: ARCHITECTURES, lambda: BUDGET_BYTES)
    downloads = Downloads(
        settings.models_dir, client, discover, library.cached_file,
        limits=limits, transfer_limits=transfer_limits,
    )  # fmt: skip
    downloads.open()
    return downloads, discover


@dataclass
class Rig:
    """One models folder and one Hub; ``open`` starts a Pomona's downloads on them."""

    hub: LoopbackHub
    folder: Path
    opened: list[tuple[Downloads, Discover]] = field(default_factory=list)
    children: list["subprocess.Popen[str]"] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.settings = settings_in(self.folder)
        self.models_dir = self.settings.models_dir
        self.models_dir.mkdir(parents=True, exist_ok=True)
        self.library = Library(self.settings, lambda: ARCHITECTURES, lambda: BUDGET_BYTES)

    def open(
        self,
        limits: QueueLimits = LIMITS,
        transfer_limits: TransferLimits = TRANSFER_LIMITS,
        **environ: str,
    ) -> Downloads:
        """Downloads on this folder, as the engine opens them."""
        opened = open_downloads(self.settings, self.hub.url, limits, transfer_limits, **environ)
        self.opened.append(opened)
        return opened[0]

    def close(self) -> None:
        """End everything that was opened."""
        for child in self.children:
            kill(child)
        for downloads, discover in self.opened:
            downloads.close()
            discover.close()

    def add(self, repo_id: str = PEAR, seed: int = 0, shards: int = 2) -> dict[str, bytes]:
        """Put a model on the Hub, or a new commit of one; returns its files."""
        files = model_files(self.folder / "made" / f"{seed}-{shards}", seed, shards)
        self.hub.add_model(repo_id, files)
        return files

    def stall(self, repo_id: str = PEAR) -> None:
        """Let the weights of a model never come."""
        commit = self.hub.models[repo_id].newest
        self.hub.fault(f"/{repo_id}/{commit}/", times=None, delay_s=600.0)

    def asked_for(self, repo_id: str = PEAR) -> list[str]:
        """Names of the weight files that were asked of the CDN."""
        return [
            request.path.rpartition("/")[2]
            for request in self.hub.requests
            if request.is_cdn and request.path.startswith(f"/{repo_id}/")
        ]

    def child(self, *arguments: str) -> "subprocess.Popen[str]":
        """Another Pomona on the same folder, in a process of its own; see download_child."""
        command = [sys.executable, "-m", "tests.engine.download_child", str(self.folder),
                   self.hub.url, *arguments]  # fmt: skip
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.children.append(child)
        return child

    @property
    def staging(self) -> list[str]:
        """Job folders on disk."""
        folder = self.models_dir / ".downloads"
        return sorted(p.name for p in folder.iterdir() if p.is_dir()) if folder.is_dir() else []


def state_of(downloads: Downloads, job_id: str) -> str:
    """The state that the list shows."""
    return status_of(downloads, job_id).state


def status_of(downloads: Downloads, job_id: str) -> DownloadStatus:
    """The snapshot that the list shows."""
    return next(status for status in downloads.list() if status.job_id == job_id)


def wait_until(downloads: Downloads, job_id: str, *states: str) -> DownloadStatus:
    """Wait for one of some states."""
    wait_for(lambda: state_of(downloads, job_id) in states)
    return status_of(downloads, job_id)


def wait_until_ready(child: "subprocess.Popen[str]") -> None:
    """Wait until a child has started what it was told to."""
    assert child.stdout is not None and child.stdout.readline() == "ready\n"


def kill(child: "subprocess.Popen[str]") -> None:
    """End a process without a chance to tidy up."""
    child.kill()
    child.wait()
    if child.stdout is not None:
        child.stdout.close()
