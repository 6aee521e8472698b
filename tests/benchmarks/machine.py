"""The first lines of a report: which machine and which versions the figures belong to."""

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tests.benchmarks.children import ask_module

_PACKAGES = ("mlx", "mlx-lm", "gradio")


def machine_lines() -> list[str]:
    """The machine in words, a line per matter."""
    facts = ask_module("device")
    versions = ", ".join(f"{name} {_version_of(name)}" for name in _PACKAGES)
    blas = "accelerated BLAS" if facts["accelerated_blas"] else "reference BLAS"
    return [
        f"CPU: {_cpu_name()}, {os.cpu_count()} cores, load before this {os.getloadavg()[0]:.1f}",
        f"System: {platform.platform()}",
        f"Versions: Python {platform.python_version()}, {versions}",
        f"Backend: {facts['backend']} ({facts['device_name']}), {blas}",
    ]


def _cpu_name() -> str:
    if sys.platform == "darwin":
        asked = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"


def _version_of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"
