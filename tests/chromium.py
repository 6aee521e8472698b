"""Find a Chromium for the browser tests, or install one: ``python -m tests.chromium``."""

import os
import shutil
import subprocess
import sys

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_QUIET = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def find_chromium() -> str | None:
    """Path of the system's Chromium; None means Playwright's own."""
    for name in _NAMES:
        if path := shutil.which(name):
            return path
    return None


def launch_arguments() -> list[str]:
    """Switches that keep Chromium from calling out; root cannot use its sandbox."""
    return [*_QUIET, "--no-sandbox"] if os.geteuid() == 0 else list(_QUIET)


def install() -> None:
    """Install Chromium where there is none: Debian's package as root, else Playwright's own."""
    if find_chromium():
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "update", "-qq"], check=True)
        subprocess.run(["apt-get", "install", "-y", "-qq", "chromium"], check=True)
        if find_chromium():
            return
    subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=True)


if __name__ == "__main__":
    install()
    print(f"Chromium: {find_chromium() or 'from Playwright'}")
