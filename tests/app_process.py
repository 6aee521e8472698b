"""The real app, started as a person starts it, for tests from outside."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
READY = "Pomona is ready on "
START_TIMEOUT_S = 90
EXIT_TIMEOUT_S = 15


@dataclass(frozen=True)
class RunningApp:
    """A started app: its process, where it serves, and where it keeps what it keeps."""

    process: subprocess.Popen[str]
    url: str
    data_dir: Path


def app_command(*arguments: str) -> list[str]:
    """The command line that starts the app."""
    return [sys.executable, "app.py", *arguments]


def app_environment(home: Path) -> dict[str, str]:
    """An environment with a home folder of its own, so that nobody's caches are seen."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "POMONA_", "XDG_"))}
    return {**env, "HOME": str(home), "PYTHONUNBUFFERED": "1"}


@contextmanager
def running_app(
    folder: Path, arguments: Sequence[str] = (), environment: Mapping[str, str] | None = None
) -> Iterator[RunningApp]:
    """Start the app with its data in ``folder`` and end it afterwards.

    It does not look for the real Hub unless ``environment`` tells it of a Hub.
    """
    home = folder / "home"
    home.mkdir(parents=True, exist_ok=True)
    command = app_command(
        "--port", "0", "--no-browser", "--data-dir", str(folder / "data"),
        "--models-dir", str(folder / "models"), *arguments,
    )  # fmt: skip
    env = app_environment(home) | dict(environment or {"HF_HUB_OFFLINE": "1"})
    with (folder / "stderr.txt").open("w") as errors:
        process = subprocess.Popen(
            command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=errors, text=True
        )
    watchdog = threading.Timer(START_TIMEOUT_S, process.kill)
    watchdog.start()
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        watchdog.cancel()
        assert line.startswith(READY), (folder / "stderr.txt").read_text()
        yield RunningApp(process, line.removeprefix(READY).strip(), folder / "data")
    finally:
        watchdog.cancel()
        end_process(process)
        if process.stdout is not None:
            process.stdout.close()


def end_process(process: subprocess.Popen[Any]) -> None:
    """Ask a process to end, and make sure that it does."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(EXIT_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
