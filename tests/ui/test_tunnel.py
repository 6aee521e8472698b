"""The share link, up to the edge of the world: a server and a program of our own stand for it."""

import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from gradio import tunneling

from engine.errors import LinkFailed
from tests.loopback_server import Recorded, Reply, Server
from ui.tunnel import Tunnel, TunnelService

PROGRAM = """#!{python}
import json, os, sys, time
open("run.json", "w").write(json.dumps([sys.argv[1:], sorted(os.environ)]))
print("login to server success", flush=True)
print("[I] start proxy success: {says}", flush=True)
time.sleep(60)
"""
API = {"host": "127.0.0.1", "port": 7000, "root_ca": "-----CERTIFICATE-----"}


@dataclass
class World:
    """What is outside: an API that names a server, and the program."""

    program: bytes
    api: Any = field(default_factory=lambda: [dict(API)])
    downloads: int = 0

    def answer(self, request: Recorded) -> Reply:
        if request.path == "/frpc":
            self.downloads += 1
            return Reply(200, self.program)
        return Reply(200, json.dumps(self.api).encode())


def program(says: str = "http://abc123.share.example") -> bytes:
    return PROGRAM.format(python=sys.executable, says=says).encode()


@pytest.fixture
def world() -> World:
    return World(program())


@pytest.fixture
def opening(world: World, tmp_path: Path) -> Iterator[Callable[..., Tunnel]]:
    """Makes tunnels into this world, and ends them."""
    server = Server(world.answer, lambda _: None, [])
    made: list[Tunnel] = []

    def make(**changes: str) -> Tunnel:
        right = hashlib.sha256(program()).hexdigest()
        service = TunnelService(f"{server.url}/api", f"{server.url}/frpc", right)
        made.append(Tunnel(tmp_path / "link", replace(service, **changes)))
        return made[-1]

    yield make
    for tunnel in made:
        tunnel.close()
    server.stop()


def test_a_link_is_made_with_the_right_program(
    opening: Callable[..., Tunnel], world: World, tmp_path: Path
) -> None:
    assert opening().open("127.0.0.1", 7860) == "https://abc123.share.example"
    arguments, environment = json.loads((tmp_path / "link" / "run.json").read_text())
    assert arguments[0] == "http" and arguments[arguments.index("-l") + 1] == "7860"
    assert arguments[arguments.index("--server_addr") + 1] == "127.0.0.1:7000"
    assert "--tls_enable" in arguments
    given = {name for name in environment if not name.startswith(("LC_", "__"))}
    assert given == {"PATH"}  # no token, no home


def test_a_checked_program_is_downloaded_once(opening: Callable[..., Tunnel], world: World) -> None:
    for _ in range(2):
        tunnel = opening()
        tunnel.open("127.0.0.1", 7860)
        tunnel.close()
    assert world.downloads == 1


def test_a_wrong_program_is_never_run_and_not_kept(
    opening: Callable[..., Tunnel], world: World, tmp_path: Path
) -> None:
    world.program = program("http://evil.example")
    for _ in range(2):
        with pytest.raises(LinkFailed, match="not the one"):
            opening().open("127.0.0.1", 7860)
    assert not (tmp_path / "link" / "run.json").exists()
    assert world.downloads == 2 and not list((tmp_path / "link").glob("frpc*"))


def test_a_program_that_was_changed_since_is_fetched_anew(
    opening: Callable[..., Tunnel], world: World, tmp_path: Path
) -> None:
    opening().open("127.0.0.1", 7860)
    (found,) = (tmp_path / "link").glob("frpc*")
    found.write_bytes(program("http://evil.example"))
    assert opening().open("127.0.0.1", 7860) == "https://abc123.share.example"
    assert world.downloads == 2


def test_without_a_known_hash_nothing_is_fetched(
    opening: Callable[..., Tunnel], world: World
) -> None:
    with pytest.raises(LinkFailed, match="no program"):
        opening(sha256="").open("127.0.0.1", 7860)
    assert world.downloads == 0


@pytest.mark.parametrize("api", [
    [], {}, "x", None, [{}], [{**API, "port": "x"}], [{**API, "host": "--config=/etc/passwd"}],
    [{**API, "host": "a b"}], [{**API, "root_ca": 5}],
])  # fmt: skip
def test_a_server_that_talks_nonsense_gives_no_link(
    opening: Callable[..., Tunnel], world: World, api: Any, tmp_path: Path
) -> None:
    world.api = api
    with pytest.raises(LinkFailed):
        opening().open("127.0.0.1", 7860)
    assert not (tmp_path / "link" / "run.json").exists()


def test_an_unreachable_server_says_so(opening: Callable[..., Tunnel]) -> None:
    with pytest.raises(LinkFailed, match="cannot be reached"):
        opening(program_url="http://127.0.0.1:1/frpc").open("127.0.0.1", 7860)


def test_a_program_that_ends_without_a_link_is_an_error(
    opening: Callable[..., Tunnel], world: World
) -> None:
    world.program = f"#!{sys.executable}\nprint('login to server failed')\n".encode()
    with pytest.raises(LinkFailed, match="no link"):
        opening(sha256=hashlib.sha256(world.program).hexdigest()).open("127.0.0.1", 7860)


def test_gradios_own_hashes_are_what_is_asked_for() -> None:
    service = TunnelService.of_gradio()
    assert service.sha256 == tunneling.CHECKSUMS[service.program_url]
    assert len(service.sha256) == 64 and service.program_url.startswith("https://")
