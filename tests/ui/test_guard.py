"""Every handler is the owner's alone unless it is on this list, in whatever way it is called."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.app_process import ROOT, RunningApp, running_app

PASSWORD = "correct horse battery"
# All that guests may call, by the names that Gradio gives the handlers of their page.
OPEN_TO_GUESTS = {
    "chat", "ask", "ask_1", "ask_again", "change", "follow_link_in_log", "example_text",
    "begin_anew", "come_back", "stop",
}  # fmt: skip
Walks = dict[str, list[list[str]]]


@pytest.fixture(scope="module")
def walks(tmp_path_factory: pytest.TempPathFactory) -> Walks:
    folder = str(tmp_path_factory.mktemp("walk"))
    command = [sys.executable, "-m", "tests.ui.walk", folder]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    )
    found: Walks = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    folder = tmp_path_factory.mktemp("shared")
    (folder / "password").write_text(PASSWORD + "\n")
    with running_app(folder, ["--owner-password-file", str(folder / "password")]) as app:
        yield app


@pytest.fixture
def stranger(app: RunningApp) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=app.url, timeout=30) as client:
        client.get("/")
        yield client


@pytest.fixture(scope="module")
def owners(app: RunningApp) -> list[dict[str, Any]]:
    """The owner's handlers, as the owner's page lists them."""
    with httpx.Client(base_url=app.url, timeout=30) as client:
        assert client.post("/login", data={"password": PASSWORD}).status_code == 200
        found: list[dict[str, Any]] = client.get("/config").json()["dependencies"]
    assert len(found) > 60
    return found


@pytest.mark.parametrize("who", ["guest", "nobody", "signed out"])
def test_every_handler_of_the_owners_page_refuses_everybody_else(walks: Walks, who: str) -> None:
    walked = walks[f"owner's page, {who}"]
    assert len(walked) > 60
    assert [name for name, outcome in walked if outcome != "refused"] == []


def test_what_guests_may_call_is_on_the_list(walks: Walks) -> None:
    walked = dict(walks["guests' page, guest"])  # type: ignore[arg-type]
    assert {name for name, outcome in walked.items() if outcome == "let in"} == OPEN_TO_GUESTS
    assert set(walked) == OPEN_TO_GUESTS  # and nothing else is wired for them


def test_the_guests_handlers_refuse_who_came_past_the_gate_or_too_late(walks: Walks) -> None:
    assert {outcome for _, outcome in walks["guests' page, nobody"]} == {"refused"}
    assert {outcome for _, outcome in walks["guests' page, ended"]} == {"ended"}


def test_a_stranger_is_told_of_no_handler_but_the_guests(stranger: httpx.Client) -> None:
    config = stranger.get("/config").json()
    assert {one["api_name"] for one in config["dependencies"]} == OPEN_TO_GUESTS
    info = stranger.get("/gradio_api/info").json()
    assert set(info["named_endpoints"]) == {"/chat"} and not info["unnamed_endpoints"]
    there = {one["props"].get("elem_id") for one in config["components"]} - {None, "", "None"}
    assert there == {
        "guest-top", "links", "chat-bar", "model", "model-status", "new-chat", "chat-row",
        "chat-main", "log", "composer", "message",
    }  # fmt: skip


def test_no_handler_of_the_owner_is_reached_by_its_number(
    stranger: httpx.Client, owners: list[dict[str, Any]]
) -> None:
    guests = {one["id"] for one in stranger.get("/config").json()["dependencies"]}
    for number in {one["id"] for one in owners} - guests | {-1, 10**9}:
        body = {"data": [None] * 12, "fn_index": number, "session_hash": "abc"}
        for way in ("queue/join", "run/predict", "run/predict/", "call/chat"):
            answer = stranger.post(f"/gradio_api/{way}", json=body)
            assert answer.status_code == 403, (number, way, answer.text)


def test_no_handler_of_the_owner_is_reached_by_its_name(
    stranger: httpx.Client, owners: list[dict[str, Any]]
) -> None:
    for name in {one["api_name"] for one in owners} - {"chat"}:
        for way in ("call/", "call/v2/", "run/", "api/"):
            answer = stranger.post(f"/gradio_api/{way}{name}", json={"data": []})
            assert answer.status_code == 403, (name, way, answer.text)
        assert stranger.get(f"/gradio_api/call/{name}/{'0' * 32}").status_code == 403


def test_a_number_of_both_pages_calls_the_guests_handler_and_not_the_owners(
    stranger: httpx.Client, owners: list[dict[str, Any]]
) -> None:
    """Even with the owner's number and name together, it is the guests' page that answers."""
    machine = next(one["id"] for one in owners if one["api_name"] == "machine")
    body = {"data": [], "fn_index": machine, "session_hash": "abc"}
    answer = stranger.post("/gradio_api/run/machine", json=body)
    assert answer.status_code in (403, 404) and "memory_total_bytes" not in answer.text


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{", b"null", b'{"data": 5}', b"[" * 100_000, b'{"fn_index": true, "data": []}',
     b'{"fn_index": "0", "data": []}', b'{"session_hash": ["x"], "fn_index": 0, "data": []}'],
)  # fmt: skip
def test_a_malformed_call_is_refused_without_a_traceback(
    stranger: httpx.Client, body: bytes
) -> None:
    headers = {"content-type": "application/json"}
    answer = stranger.post("/gradio_api/queue/join", content=body, headers=headers)
    assert answer.status_code == 403 and "detail" in answer.json()


def test_a_forged_or_stolen_cookie_makes_nobody_the_owner(app: RunningApp) -> None:
    for cookie in ("pomona-owner=1", "pomona-owner=", f"pomona-owner={PASSWORD}", "pomona-owner"):
        answer = httpx.get(f"{app.url}/config", headers={"cookie": cookie}, timeout=30)
        assert {one["api_name"] for one in answer.json()["dependencies"]} == OPEN_TO_GUESTS


@pytest.mark.parametrize(
    "headers",
    [{"x-forwarded-for": "127.0.0.1"}, {"x-real-ip": "127.0.0.1"}, {"forwarded": "for=127.0.0.1"},
     {"x-forwarded-for": "127.0.0.1", "x-forwarded-host": "localhost"},
     {"authorization": "Basic b3duZXI6"}],
)  # fmt: skip
def test_no_header_makes_a_stranger_the_owner(
    stranger: httpx.Client, headers: dict[str, str]
) -> None:
    config = stranger.get("/config", headers=headers).json()
    assert {one["api_name"] for one in config["dependencies"]} == OPEN_TO_GUESTS
    answer = stranger.post("/gradio_api/call/machine", json={"data": []}, headers=headers)
    assert answer.status_code == 403
