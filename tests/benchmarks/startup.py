"""From process start to a page that answers: the app beside a Gradio app of one textbox.

Both run as they do for a person who starts them again: with Python's bytecode cache, which lies
in a temporary folder here.
"""

import http.client
import socket
import subprocess
import time
from pathlib import Path

from tests.app_process import ROOT, app_command, app_environment, end_process
from tests.benchmarks.children import module_command, quiet_environment

POLL_S = 0.005
START_TIMEOUT_S = 120.0


class StartupBench:
    """Starts servers and times them. ``folder`` takes what they write."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        bytecode = {"PYTHONPYCACHEPREFIX": str(folder / "bytecode")}
        self._environment = quiet_environment(**app_environment(folder), **bytecode)
        self._environment.pop("PYTHONDONTWRITEBYTECODE", None)

    def app_s(self) -> float:
        """Seconds until the app's page answers."""
        port = _free_port()
        folders = ["--data-dir", self._path("data"), "--models-dir", self._path("models")]
        return self._time_page(app_command("--port", str(port), "--no-browser", *folders), port)

    def textbox_s(self) -> float:
        """Seconds until the page of one textbox answers."""
        port = _free_port()
        return self._time_page(module_command("one_textbox", str(port)), port)

    def _path(self, name: str) -> str:
        return str(self._folder / name)

    def _time_page(self, command: list[str], port: int) -> float:
        with (self._folder / "server.log").open("w") as log:
            started_at = time.perf_counter()
            process = subprocess.Popen(
                command, cwd=ROOT, env=self._environment, stdout=log, stderr=log
            )
        try:
            while not _answers(port):
                if process.poll() is not None or time.perf_counter() - started_at > START_TIMEOUT_S:
                    log_text = (self._folder / "server.log").read_text()
                    raise RuntimeError(f"the page never answered: {log_text}")
                time.sleep(POLL_S)
            return time.perf_counter() - started_at
        finally:
            end_process(process)


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_TIMEOUT_S)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
