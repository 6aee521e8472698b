"""The loopback Hub is like the real one as far as huggingface_hub's own client can tell."""

import hashlib
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from huggingface_hub import HfApi, constants, errors, hf_hub_download, snapshot_download

from engine import patience
from engine.errors import Cancelled
from tests.loopback_hub import LoopbackHub

WEIGHTS = bytes(range(256)) * 40
FILES = {"config.json": b"{}", "folder/model.safetensors": WEIGHTS}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackHub]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    with LoopbackHub() as server:
        server.add_model("o/m", FILES, downloads=5)
        yield server


def test_its_listing_is_understood(hub: LoopbackHub) -> None:
    hub.page_size = 2
    for number in range(5):
        hub.add_model(f"o/n{number}", downloads=10 + number)
    api = HfApi(endpoint=hub.url, token=False)
    found = list(api.list_models(sort="downloads", expand=["downloads", "siblings"]))
    assert [model.downloads for model in found] == [14, 13, 12, 11, 10, 5]
    assert [model.id for model in api.list_models(search="N3", author="o", filter="mlx")] == [
        "o/n3"
    ]


def test_its_repo_is_understood(hub: LoopbackHub) -> None:
    api = HfApi(endpoint=hub.url, token=False)
    commit = hub.models["o/m"].newest
    assert (api.model_info("o/m").sha, api.model_info("o/m", revision=commit).sha) == (
        commit, commit,
    )  # fmt: skip
    weights = {f.path: f for f in api.list_repo_tree("o/m", recursive=True)}[
        "folder/model.safetensors"
    ]
    assert weights.lfs.sha256 == hashlib.sha256(WEIGHTS).hexdigest()


def test_its_files_can_be_downloaded(hub: LoopbackHub, tmp_path: Path) -> None:
    for name, body in FILES.items():
        path = hf_hub_download("o/m", name, endpoint=hub.url, token=False, cache_dir=tmp_path)
        assert Path(path).read_bytes() == body
    folder = snapshot_download("o/m", endpoint=hub.url, token=False, local_dir=tmp_path / "all")
    assert (Path(folder) / "folder/model.safetensors").read_bytes() == WEIGHTS


def test_its_refusals_are_understood(hub: LoopbackHub) -> None:
    hub.add_model("o/gated", FILES, gated="auto")
    hub.add_model("o/disabled", FILES, disabled=True)
    for repo, file, expected in (
        ("o/gated", "config.json", errors.GatedRepoError),
        ("o/m", "nothing", errors.RemoteEntryNotFoundError),
    ):
        with pytest.raises(expected):
            hf_hub_download(repo, file, endpoint=hub.url, token=False, cache_dir="/nowhere")
    with pytest.raises(errors.RevisionNotFoundError):
        HfApi(endpoint=hub.url, token=False).model_info("o/m", revision="no")
    with pytest.raises(errors.HfHubHTTPError) as raised:
        HfApi(endpoint=hub.url, token=False).model_info("o/missing")
    response = raised.value.response
    assert (response.status_code, response.json()) == (
        401, {"error": "Invalid username or password."},
    )  # fmt: skip
    assert "x-error-code" not in response.headers and "ratelimit" in response.headers


def test_it_sends_the_part_of_a_file_that_is_asked_for(hub: LoopbackHub) -> None:
    url = f"{hub.url}/o/m/resolve/main/folder/model.safetensors"
    for asked, part in (("bytes=10-19", WEIGHTS[10:20]), ("bytes=10200-", WEIGHTS[10200:]),
                        ("bytes=-7", WEIGHTS[-7:]), ("bytes=0-99999", WEIGHTS)):  # fmt: skip
        request = urllib.request.Request(url, headers={"Range": asked})
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert (answer.status, answer.read()) == (206, part)
    with httpx2.Client(follow_redirects=True) as http:
        assert http.get(url, headers={"Range": "bytes=99999-"}).status_code == 416


def test_where_a_file_lies_is_told_by_the_redirect_alone(hub: LoopbackHub) -> None:
    with httpx2.Client() as http:
        first = http.head(f"{hub.url}/o/m/resolve/main/folder/model.safetensors")
        second = http.head(first.headers["location"])
        small = http.head(f"{hub.url}/o/m/resolve/main/config.json")
    assert (first.status_code, small.status_code) == (302, 307)
    assert first.headers["x-repo-commit"] == hub.models["o/m"].newest
    assert first.headers["x-linked-size"] == second.headers["content-length"] == str(len(WEIGHTS))
    assert first.headers["x-linked-etag"] != second.headers["etag"]
    assert "x-repo-commit" not in second.headers
    assert small.headers["location"].startswith("/api/resolve-cache/models/o/m/")


def test_pauses_double_and_scatter() -> None:
    for jitter, expected in ((0.0, [1, 2, 4]), (1.0, [1.5, 3, 6])):
        kept = patience.Patience(base_s=1.0, jitter=lambda fixed=jitter: fixed)  # type: ignore[misc]
        assert [kept.backoff_s(failed) for failed in (1, 2, 3)] == expected


def test_a_wait_is_read_from_a_number_or_a_date() -> None:
    date = "Wed, 21 Oct 2015 07:28:00 GMT"
    assert patience.parse_retry_after(" 120 ", 0) == 120
    assert patience.parse_retry_after(date, 1445412480 - 30) == 30
    assert patience.parse_retry_after(date, 1445412480 + 30) == 0
    assert patience.parse_retry_after(None, 0) is None


@pytest.mark.parametrize(
    ("wait_s", "text"), ((0.2, "1 s"), (12, "12 s"), (300, "5 min"), (86400, "24 h"))
)
def test_a_wait_is_said_as_a_person_says_it(wait_s: float, text: str) -> None:
    assert patience.format_wait(wait_s) == text


def test_a_wait_ends_when_it_is_cancelled() -> None:
    asked: list[float] = []
    with pytest.raises(Cancelled):
        patience.wait(3600, lambda: bool(asked) or asked.append(time.monotonic()))  # type: ignore[func-returns-value, arg-type, return-value]
