"""Many answers at once over HTTP: the app's /chat, and mlx_lm.server with the same weights."""

import itertools
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from gradio_client import Client

from tests.app_process import ROOT, end_process, running_app
from tests.benchmarks.children import module_command, quiet_environment
from tests.benchmarks.models import BenchModel, random_text

PROMPT_WORDS = 16
ANSWER_TIMEOUT_S = 300.0
START_TIMEOUT_S = 120.0


@dataclass
class ServerBench:
    """Both servers, with the model loaded."""

    app: Client
    server_url: str
    model: BenchModel
    _seeds: Iterator[int] = field(default_factory=itertools.count)

    def ask_app(self, count: int, tokens: int) -> float:
        """Tokens per second of ``count`` answers, by the client's clock."""

        def answer(text: str) -> int:
            asked = {
                "messages": [{"role": "user", "content": text}],
                "model": self.model.repo_id,
                "params": {"temperature": 0.0, "max_tokens": tokens},
            }
            said = self.app.submit(**asked, api_name="/chat").result(ANSWER_TIMEOUT_S)
            return int(said["stats"]["output_tokens"])

        return self._total_per_s(count, answer)

    def ask_server(self, count: int, tokens: int) -> float:
        """As ask_app, of mlx_lm.server."""

        def answer(text: str) -> int:
            asked = {
                "messages": [{"role": "user", "content": text}],
                "temperature": 0.0, "max_tokens": tokens,
            }  # fmt: skip
            url = f"{self.server_url}/v1/chat/completions"
            said = httpx.post(url, json=asked, timeout=ANSWER_TIMEOUT_S).raise_for_status().json()
            return int(said["usage"]["completion_tokens"])

        return self._total_per_s(count, answer)

    def _total_per_s(self, count: int, answer: Callable[[str], int]) -> float:
        texts = [random_text(next(self._seeds), PROMPT_WORDS) for _ in range(count)]
        with ThreadPoolExecutor(count) as pool:
            started_at = time.perf_counter()
            output_tokens = sum(pool.map(answer, texts))
            return output_tokens / (time.perf_counter() - started_at)


@contextmanager
def running_servers(folder: Path, model: BenchModel) -> Iterator[ServerBench]:
    """Start both; the server gets a float32 copy of the weights, which the app makes by itself."""
    dense = folder / "dense"
    subprocess.run(
        module_command("dense_copy", str(model.path), str(dense)),
        cwd=ROOT, env=quiet_environment(), check=True,
    )  # fmt: skip
    port = _free_port()
    process = subprocess.Popen(
        module_command("fast_server", "--model", str(dense), "--port", str(port),
                       "--log-level", "WARNING"),
        cwd=ROOT, env=quiet_environment(), stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        with running_app(folder / "app", ["--model", str(model.path)]) as app:
            client = Client(app.url, verbose=False, analytics_enabled=False, download_files=False)
            client.submit(model.repo_id, api_name="/load").result(START_TIMEOUT_S)
            url = f"http://127.0.0.1:{port}"
            _wait_for(url)
            yield ServerBench(client, url, model)
            client.close()
    finally:
        end_process(process)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            httpx.get(f"{url}/health", timeout=5.0)
            return
        except httpx.TransportError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
