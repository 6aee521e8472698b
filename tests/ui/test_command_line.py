"""The command line, as somebody types it."""

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.app_process import ROOT, app_command, app_environment, running_app

BAD = [
    (["--port", "seventy"], "port"),
    (["--port", "70000"], "port"),
    (["--port", "-1"], "port"),
    (["--nonsense"], "--nonsense"),
    (["--host", "no.such.host.invalid"], "address"),
    (["--model", "nobody/nothing"], "nobody/nothing"),
    (["--models-dir", "app.py"], "folder"),
    (["--guest-model", "nobody/nothing"], "nobody/nothing"),
    (["--guest-model", "../../etc"], "../../etc"),
    (["--owner-password-file", "no/such/file"], "no/such/file"),
    (["--owner-password-file", "engine"], "engine"),
    (["--owner-password-file", ".gitignore", "--guest-hours", "never"], "never"),
    (["--owner-password-file", "tests/__init__.py"], "tests/__init__.py"),
    (["--guest-hours", "0"], "hours"),
]


def run(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        app_command("--no-browser", *arguments),
        cwd=ROOT, env=app_environment(tmp_path), capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip


@pytest.mark.parametrize(("arguments", "word"), BAD, ids=[" ".join(a) for a, _ in BAD])
def test_a_bad_value_exits_2_with_one_line_that_names_it(
    tmp_path: Path, arguments: list[str], word: str
) -> None:
    done = run(tmp_path, *arguments)
    assert done.returncode == 2
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1 and word in lines[0]
    assert done.stdout == ""


def test_a_folder_that_is_no_model_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = run(tmp_path, "--model", str(tmp_path / "empty"))
    assert done.returncode == 2
    assert "not a model folder" in done.stderr


def test_a_busy_port_says_so_and_names_a_free_one(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run(tmp_path, "--port", str(port))
    assert done.returncode == 2
    line = done.stderr.strip()
    assert "\n" not in line and f"port {port} is busy" in line
    other = int(line.partition("; port ")[2].split()[0])
    assert other != port and 1024 <= other <= 65535


def test_version_is_printed(tmp_path: Path) -> None:
    done = run(tmp_path, "--version")
    assert done.returncode == 0 and done.stdout.startswith("Pomona ")


def test_it_starts_behind_a_proxy_that_knows_nothing_of_this_computer(tmp_path: Path) -> None:
    environment = {"HTTP_PROXY": "http://127.0.0.1:9", "NO_PROXY": "", "HF_HUB_OFFLINE": "1"}
    with running_app(tmp_path, environment=environment) as app:
        assert httpx.get(app.url, timeout=30, trust_env=False).status_code == 200


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_status_0(tmp_path: Path, how: signal.Signals) -> None:
    with running_app(tmp_path) as app:
        assert httpx.get(app.url, timeout=30).status_code == 200
        app.process.send_signal(how)
        assert app.process.wait(timeout=20) == 0


def test_a_signal_that_comes_before_anybody_waits_for_it_is_not_missed(tmp_path: Path) -> None:
    said = (
        "import os, signal, app; heard = app._hear_signals(); os.kill(os.getpid(), signal.SIGTERM);"
        "heard.settimeout(30); print(heard.recv(1)[0] == signal.SIGTERM)"
    )
    done = subprocess.run(
        [sys.executable, "-c", said], cwd=ROOT, env=app_environment(tmp_path),
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout.strip() == "True", done.stderr


def test_a_signal_during_an_open_stream_ends_it_too(tmp_path: Path) -> None:
    with running_app(tmp_path) as app:
        url = f"{app.url}/gradio_api/heartbeat/abc"
        with httpx.stream("GET", url, timeout=30) as response:
            assert response.status_code == 200
            app.process.send_signal(signal.SIGTERM)
            assert app.process.wait(timeout=20) == 0


def test_it_writes_only_into_the_folders_it_was_given(tmp_path: Path) -> None:
    with running_app(tmp_path):
        time.sleep(1)
    written = {p.relative_to(tmp_path).parts[0] for p in tmp_path.rglob("*") if p.is_file()}
    assert written <= {"data", "models", "stderr.txt"}
