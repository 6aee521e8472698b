"""Child processes of a benchmark: modules of this package that answer in JSON.

mlx wants one thread per process from import to end, so whatever needs mlx apart from the engine
runs in a process of its own.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.app_process import ROOT

EXIT_TIMEOUT_S = 15


def module_command(module: str, *arguments: str) -> list[str]:
    """The command line of a module in this package."""
    return [sys.executable, "-m", f"{__package__}.{module}", *arguments]


def ask_module(module: str, *arguments: str) -> Any:
    """Run a module to its end and return the JSON that it printed last."""
    done = subprocess.run(
        module_command(module, *arguments),
        cwd=ROOT, env=quiet_environment(), stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


def quiet_environment(**extra: str) -> dict[str, str]:
    """This environment, with nothing in it that calls out."""
    return {**os.environ, "HF_HUB_OFFLINE": "1", "GRADIO_ANALYTICS_ENABLED": "False", **extra}


class Child:
    """A module that reads a JSON value a line and answers each with one."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def ask(self, request: Any) -> Any:
        """Send ``request`` and wait for its answer."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


@contextmanager
def running_child(module: str, *arguments: str) -> Iterator[Child]:
    """Start a module that answers lines, and end it by closing its standard input."""
    process = subprocess.Popen(
        module_command(module, *arguments),
        cwd=ROOT, env=quiet_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with process:
        try:
            yield Child(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(EXIT_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
