"""The code is clean under the tools that pyproject.toml sets up."""

import subprocess
import sys

import pytest

from tests.app_process import ROOT

TOOLS = {
    "ruff check": ["ruff", "check", "."],
    "ruff format": ["ruff", "format", "--check", "."],
    "mypy": ["mypy"],
}


@pytest.mark.parametrize("name", TOOLS)
def test_it_is_clean_under(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *TOOLS[name]],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
