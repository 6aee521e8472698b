"""Which Hub is asked, as whom, and that a token goes nowhere else."""

import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.errors import Gated, HubBroken, HubError, Offline, RepoNotFound
from engine.hub.client import HubClient
from engine.patience import Patience
from tests.loopback_hub import LoopbackHub

TOKEN = "hf_knownknownknown"
WRONG = "hf_wrongwrongwrong"
PATIENCE = Patience(base_s=0.0, connect_s=0.5, read_s=2.0)
Ask = Callable[..., HubClient]


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackHub]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE", "HF_OIDC_RESOURCE"):
        monkeypatch.delenv(name, raising=False)
    with LoopbackHub(tokens=(TOKEN,)) as server:
        server.add_model("o/m", {"config.json": b"{}", "model.safetensors": b"x"})
        yield server


@pytest.fixture
def client_with(hub: LoopbackHub, tmp_path: Path) -> Iterator[Ask]:
    """Makes clients of the loopback Hub, with more of an environment."""
    made: list[HubClient] = []

    def make(**environ: str) -> HubClient:
        usual = {"HF_ENDPOINT": hub.url, "HOME": str(tmp_path)}
        made.append(HubClient(usual | environ, patience=PATIENCE))
        return made[-1]

    yield make
    for client in made:
        client.close()


def _tokens(hub: LoopbackHub) -> set[str]:
    return {request.token for request in hub.requests}


def test_nobody_in_particular_asks_without_a_token(hub: LoopbackHub, client_with: Ask) -> None:
    client_with().list_models()
    assert _tokens(hub) == {""}


@pytest.mark.parametrize("name", ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"))
def test_a_token_of_the_environment_is_sent(hub: LoopbackHub, client_with: Ask, name: str) -> None:
    client_with(**{name: f" {TOKEN}\n"}).list_models()
    assert _tokens(hub) == {TOKEN}


@pytest.mark.parametrize("file", (
    ".cache/huggingface/token", "home/token", "xdg/huggingface/token", "elsewhere",
))  # fmt: skip
def test_a_stored_login_is_found(
    hub: LoopbackHub, client_with: Ask, tmp_path: Path, file: str
) -> None:
    environ = {
        "home/token": {"HF_HOME": str(tmp_path / "home")},
        "xdg/huggingface/token": {"XDG_CACHE_HOME": str(tmp_path / "xdg")},
        "elsewhere": {"HF_TOKEN_PATH": str(tmp_path / "elsewhere")},
    }.get(file, {})
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text(TOKEN + "\n")
    client_with(**environ).list_models()
    assert _tokens(hub) == {TOKEN}


def test_a_login_made_meanwhile_is_used(hub: LoopbackHub, client_with: Ask, tmp_path: Path) -> None:
    client = client_with(HF_HOME=str(tmp_path))
    client.list_models()
    (tmp_path / "token").write_text(TOKEN)
    client.list_models()
    assert [request.token for request in hub.requests] == ["", TOKEN]


def test_a_token_can_be_kept_back(hub: LoopbackHub, client_with: Ask) -> None:
    client_with(HF_TOKEN=TOKEN, HF_HUB_DISABLE_IMPLICIT_TOKEN="1").list_models()
    assert _tokens(hub) == {""}


def test_the_processs_own_environment_is_the_usual_one(
    hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hub.url + "/")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    client = HubClient(patience=PATIENCE)
    assert [entry["id"] for entry in client.list_models()] == ["o/m"]
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(Offline):
        client.list_models()
    client.close()
    assert _tokens(hub) == {TOKEN}


def test_a_stored_login_of_this_process_is_found_as_huggingface_hub_finds_it(
    hub: LoopbackHub, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text(TOKEN)
    ask = "from engine.hub.client import HubClient; print(len(HubClient().list_models()))"
    environ = {"HF_HOME": str(tmp_path), "HF_ENDPOINT": hub.url, "NO_PROXY": "127.0.0.1"}
    done = subprocess.run(
        [sys.executable, "-c", ask], env=environ, capture_output=True, text=True, timeout=60,
        cwd=Path(__file__).parents[3],
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("1\n", "")
    assert [(r.path, r.token) for r in hub.requests] == [("/api/models", TOKEN)]


@pytest.mark.parametrize("name", ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"))
@pytest.mark.parametrize("value", ("1", "true", "YES", "on"))
def test_offline_mode_asks_nothing(
    hub: LoopbackHub, client_with: Ask, name: str, value: str
) -> None:
    client = client_with(**{name: value})
    for ask in (client.list_models, lambda: client.repo("o/m"),
                lambda: client.read_text("o/m", "main", "config.json", 9)):  # fmt: skip
        with pytest.raises(Offline, match="offline mode") as raised:
            ask()
        assert "HF_HUB_OFFLINE" in raised.value.hint
    assert hub.requests == []


@pytest.mark.parametrize("value", ("", "0", "false", "no"))
def test_offline_mode_can_be_off(hub: LoopbackHub, client_with: Ask, value: str) -> None:
    assert client_with(HF_HUB_OFFLINE=value).list_models()


@pytest.mark.parametrize("address", (
    "huggingface.co", "ftp://127.0.0.1", "http://[", "http://", "not an address", "http://a b/",
    "/etc/passwd", "http://127.0.0.1:99999",
))  # fmt: skip
def test_an_address_that_is_none_is_told(client_with: Ask, address: str) -> None:
    with pytest.raises((HubBroken, Offline)) as raised:
        client_with(HF_ENDPOINT=address).list_models()
    assert raised.value.hint


def test_no_address_means_the_hub_itself(client_with: Ask) -> None:
    for unset in ("", " ", "/"):
        client = client_with(HF_ENDPOINT=unset, HF_HUB_OFFLINE="1")
        assert client._session.endpoint == "https://huggingface.co"


def test_a_refused_token_is_told_and_not_shown(hub: LoopbackHub, client_with: Ask) -> None:
    client = client_with(HF_TOKEN=WRONG)
    for ask in (client.list_models, lambda: client.repo("o/m"),
                lambda: client.read_text("o/m", "main", "config.json", 9)):  # fmt: skip
        with pytest.raises(HubError, match="refused your access token") as raised:
            ask()
        assert "hf auth login" in raised.value.hint and "HF_TOKEN" in raised.value.hint
        assert WRONG not in "".join(traceback.format_exception(raised.value))


def test_a_missing_repo_may_mean_that_the_token_has_expired(
    hub: LoopbackHub, client_with: Ask
) -> None:
    for token in (TOKEN, WRONG):
        with pytest.raises(RepoNotFound, match="or it is private") as raised:
            client_with(HF_TOKEN=token).repo("o/missing")
        assert "still be valid" in raised.value.hint


def test_those_who_are_let_in_read_gated_and_private_repos(
    hub: LoopbackHub, client_with: Ask
) -> None:
    hub.add_model("o/gated", {"a": b"1"}, gated="manual", granted=(TOKEN,))
    hub.add_model("o/private", {"a": b"2"}, private=True, granted=(TOKEN,))
    client = client_with(HF_TOKEN=TOKEN)
    assert [client.read_text(f"o/{n}", "main", "a", 9) for n in ("gated", "private")] == ["1", "2"]
    assert {entry["id"] for entry in client.list_models()} == {"o/m", "o/gated", "o/private"}


def test_a_login_that_is_not_on_the_list_is_told_to_ask(hub: LoopbackHub, client_with: Ask) -> None:
    hub.add_model("o/gated", {"a": b"1"}, gated="manual")
    for token in (TOKEN, WRONG):
        with pytest.raises(Gated) as raised:
            client_with(HF_TOKEN=token).read_text("o/gated", "main", "a", 9)
        assert "your login is not" in raised.value.message
        assert f"{hub.url}/o/gated" in raised.value.hint


@pytest.mark.parametrize("token", ("hf_a\nX-Evil: 1", "hf_é", "hf_a b", "hf_\x7f"))
def test_a_token_that_no_header_can_carry_is_not_sent_and_not_shown(
    hub: LoopbackHub, client_with: Ask, token: str
) -> None:
    with pytest.raises(HubError, match="login could not be read") as raised:
        client_with(HF_TOKEN=token).list_models()
    assert token not in "".join(traceback.format_exception(raised.value))
    assert hub.requests == []


def test_a_login_that_is_no_text_is_told(client_with: Ask, tmp_path: Path) -> None:
    (tmp_path / "token").write_bytes(b"\xff\xfe\0")
    for path in (tmp_path / "token", tmp_path):
        with pytest.raises(HubError, match="login could not be read"):
            client_with(HF_TOKEN_PATH=str(path)).list_models()


def test_the_token_stays_behind_when_another_server_has_the_file(
    hub: LoopbackHub, client_with: Ask
) -> None:
    client = client_with(HF_TOKEN=TOKEN)
    assert client.read_text("o/m", "main", "model.safetensors", 9) == "x"
    assert [(r.is_cdn, r.token) for r in hub.requests] == [(False, TOKEN), (True, "")]


def test_a_login_in_the_address_is_not_shown(hub: LoopbackHub, client_with: Ask) -> None:
    hub.add_model("o/gated", {"a": b"1"}, gated="auto")
    secret = hub.url.replace("http://", "http://user:opensesame@")
    with pytest.raises(Gated) as raised:
        client_with(HF_ENDPOINT=secret).read_text("o/gated", "main", "a", 9)
    assert "opensesame" not in raised.value.text


def test_the_hub_learns_no_more_than_our_name(hub: LoopbackHub, client_with: Ask) -> None:
    client_with().list_models()
    [request] = hub.requests
    assert request.headers["user-agent"].startswith("pomona; hf_hub/")
    assert request.headers.keys() <= {"host", "accept", "accept-encoding", "connection",
                                      "user-agent"}  # fmt: skip
