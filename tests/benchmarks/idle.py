"""Processor time of the whole app while nobody is there."""

import os
import subprocess
import time
from pathlib import Path

from gradio_client import Client

from tests.app_process import running_app
from tests.benchmarks.models import BenchModel

LOAD_TIMEOUT_S = 120.0
SETTLE_S = 5.0


def idle_processor_s(folder: Path, model: BenchModel, seconds: float) -> float:
    """Seconds of processor time that the app takes in so many, with a model loaded."""
    with running_app(folder, ["--model", str(model.path)]) as app:
        client = Client(app.url, verbose=False, analytics_enabled=False, download_files=False)
        client.submit(model.repo_id, api_name="/load").result(LOAD_TIMEOUT_S)
        client.close()
        time.sleep(SETTLE_S)
        before_s = _processor_s(app.process.pid)
        time.sleep(seconds)
        return _processor_s(app.process.pid) - before_s


def _processor_s(pid: int) -> float:
    """What a process has taken so far, all its threads together."""
    stat = Path(f"/proc/{pid}/stat")
    if stat.is_file():
        user, system = stat.read_text().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
    asked = ["ps", "-o", "time=", "-p", str(pid)]
    said = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    total_s = 0.0
    for part in said.replace("-", ":").split(":"):
        total_s = total_s * 60 + float(part)
    return total_s
