"""One model over two ranks of MLX's distributed backend, chatted with as another server's."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from engine import Engine
from engine.records import Message, SamplingParams, TextDelta
from tests.engine.answers import LLAMA, ask, read
from tests.models import write_model

START_S = 120.0
BIN = Path(sys.executable).parent
HELLO = [Message("user", "hello, you two")]
GREEDY = SamplingParams(temperature=0, max_tokens=24)


@dataclass(frozen=True)
class Pair:
    """Two ranks that serve one model together."""

    url: str
    log: Path


def _free_ports(count: int) -> int:
    """The first of that many ports in a row that nobody uses now."""
    for first in range(20_000 + os.getpid() % 10_000, 60_000, count):
        try:
            for port in range(first, first + count):
                with closing(socket.socket()) as line:
                    line.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
    raise AssertionError("no ports are free")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """What the README says for a model too large for one machine, on this one alone."""
    folder = tmp_path_factory.mktemp("pair")
    model, log = write_model(folder / "llama"), folder / "log.txt"
    port = _free_ports(9)
    command = [
        str(BIN / "mlx.launch"), "-n", "2", "--backend", "ring", "--starting-port", str(port + 1),
        "--", str(BIN / "mlx_lm.server"), "--model", str(model), "--host", "127.0.0.1",
        "--port", str(port),
    ]  # fmt: skip
    (folder / "hub").mkdir()  # without it mlx_lm.server breaks off when it lists its models
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(folder / "hub")}
    with log.open("w") as output:
        launched = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=output, stderr=output, env=environment,
            start_new_session=True,
        )  # fmt: skip
    try:
        _wait_for(f"http://127.0.0.1:{port}/health", launched, log)
        yield Pair(f"http://127.0.0.1:{port}/v1", log)
    finally:
        os.killpg(launched.pid, signal.SIGKILL)
        launched.communicate(timeout=10)


def _wait_for(url: str, launched: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and launched.poll() is None:
        try:
            if httpx.get(url, timeout=2).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.2)
    raise AssertionError(log.read_text()[-2000:])


def test_two_ranks_of_one_model_say_what_one_machine_says(engine: Engine, pair: Pair) -> None:
    source = engine.remote.add("pair", pair.url)
    try:
        (model,) = engine.remote.models()
        alone = ask(engine, HELLO, LLAMA)
        together = read(engine.chat(HELLO, GREEDY, model.model_id))
        assert (source.problem, together.text, together.reason) == ("", alone.text, "length")
        assert together.stats.output_tokens == 24
        assert together.stats.prompt_tokens == alone.stats.prompt_tokens
        assert pair.log.read_text().count("Prompt Cache: 0 sequences") == 2  # each rank says so
        stopped = engine.chat(HELLO, SamplingParams(max_tokens=2000), model.model_id)
        while not any(isinstance(event, TextDelta) for event in stopped.drain(30)):
            pass
        stopped.cancel()
        assert read(stopped).reason == "cancelled"
        assert read(engine.chat(HELLO, GREEDY, model.model_id)).text == alone.text
    finally:
        engine.remote.remove("pair")
