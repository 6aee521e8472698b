"""Runs through the whole app, from outside: its process, its queue, and a gradio client."""

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gradio_client import Client

from tests.app_process import running_app
from tests.benchmarks.children import Child, running_child
from tests.benchmarks.models import BenchModel, random_text

PROMPT_WORDS = 16
LOAD_TIMEOUT_S = 120.0


@dataclass(frozen=True)
class Speeds:
    """Of one answer: without the way to the first token, and with everything."""

    decode_per_s: float
    wall_per_s: float


class AppBench:
    """The app with a model loaded, and the bare loop with the same model in its own process."""

    def __init__(self, client: Client, model: BenchModel, bare: Child) -> None:
        self._client = client
        self._model = model
        self._bare = bare
        self._seeds = itertools.count()

    def ask_app(self, max_tokens: int) -> Speeds:
        """One answer through /chat. ``wall_per_s`` ends when the client has the last value."""
        asked = {
            "messages": [{"role": "user", "content": self._new_text()}],
            "model": self._model.repo_id,
            "params": {"temperature": 0.0, "max_tokens": max_tokens},
        }
        started_at = time.perf_counter()
        answer: dict[str, Any] = list(self._client.submit(**asked, api_name="/chat"))[-1]
        wall_s = time.perf_counter() - started_at
        stats = answer["stats"]
        return Speeds(stats["decode_per_s"], stats["output_tokens"] / wall_s)

    def ask_bare(self, max_tokens: int) -> Speeds:
        """One answer by the bare loop, timed inside its process."""
        run = self._bare.ask({"texts": [self._new_text()], "max_tokens": max_tokens})
        return Speeds(run["decode_per_s"], run["output_tokens"] / run["wall_s"])

    def _new_text(self) -> str:
        return random_text(next(self._seeds), PROMPT_WORDS)


@contextmanager
def running_app_bench(folder: Path, model: BenchModel) -> Iterator[AppBench]:
    """Start the app and the bare loop, both with ``model`` loaded."""
    with (
        running_child("bare_loop", str(model.path)) as bare,
        running_app(folder, ["--model", str(model.path)]) as app,
    ):
        client = Client(app.url, verbose=False, analytics_enabled=False, download_files=False)
        try:
            client.submit(model.repo_id, api_name="/load").result(LOAD_TIMEOUT_S)
            yield AppBench(client, model, bare)
        finally:
            client.close()
