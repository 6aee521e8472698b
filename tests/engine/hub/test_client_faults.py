"""What the client makes of a Hub that is slow, full, broken, gone or hostile."""

import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest
from huggingface_hub import errors

from engine.errors import Cancelled, Gated, HubBroken, HubError, Offline, RateLimited, RepoNotFound
from engine.hub.client import HubClient
from engine.hub.session import hub_errors
from engine.hub_failures import Subject
from engine.patience import Patience
from tests.loopback_hub import LoopbackHub

PATIENCE = Patience(base_s=0.0)
HASTE = Patience(base_s=0.0, read_s=0.3, answer_s=0.5)
TREE = "/api/models/o/m/tree"
FILE = {"type": "file", "path": "a", "size": 1, "oid": "0" * 40}
# What the client never calls cannot raise these; should one come all the same, only the base
# classes among them (httpx2.HTTPError, OSError, ValueError) would be turned into ours.
NOT_RAISED_HERE = {
    "the cache on disk is read by the library": (
        "CacheNotFound", "CorruptedCacheException", "CachedRepoTreeNotFoundError"),
    "no command line of the Hub's is used": (
        "CLIError", "CLIExtensionInstallError", "ConfirmationError"),
    "no DDUF files": (
        "DDUFError", "DDUFCorruptedFileError", "DDUFExportError", "DDUFInvalidEntryNameError"),
    "no uploads": ("FileDuplicationError",),
    "no inference endpoints": ("InferenceEndpointError", "InferenceEndpointTimeoutError"),
    "weights' headers are read by the library": (
        "NotASafetensorsRepoError", "SafetensorsParsingError"),
    "no sandboxes": ("SandboxError", "SandboxCommandError"),
    "none of its dataclasses are made": (
        "StrictDataclassError", "StrictDataclassDefinitionError",
        "StrictDataclassFieldValidationError", "StrictDataclassClassValidationError"),
    "no Xet transfers": ("XetDownloadError",),
}  # fmt: skip
EXEMPT = {name for names in NOT_RAISED_HERE.values() for name in names}
EXPORTED = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, Exception)
}

HTTP_ERRORS = [
    name for name, kind in vars(httpx2).items()
    if isinstance(kind, type) and issubclass(kind, Exception) and name != "HTTPStatusError"
]  # fmt: skip


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackHub]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with LoopbackHub() as server:
        server.add_model("o/m", {"config.json": b"{}"})
        yield server


@pytest.fixture
def client(hub: LoopbackHub) -> Iterator[HubClient]:
    client = HubClient({"HF_ENDPOINT": hub.url, "HOME": "/nowhere"}, patience=PATIENCE)
    yield client
    client.close()


@pytest.fixture
def hasty(hub: LoopbackHub) -> Iterator[HubClient]:
    client = HubClient({"HF_ENDPOINT": hub.url, "HOME": "/nowhere"}, patience=HASTE)
    yield client
    client.close()


def _made(kind: type[Exception], status: int = 418) -> Exception:
    """An instance of any exception, with the arguments that it wants."""
    if issubclass(kind, errors.HfHubHTTPError):
        request = httpx2.Request("GET", "http://127.0.0.1/api/models/o/m")
        return kind("said", response=httpx2.Response(status, request=request))
    if kind in (errors.HfUriError, errors.IncompleteSnapshotError):
        return kind("said", "also")
    return kind("said")


@pytest.mark.parametrize("name", sorted(EXPORTED.keys() - EXEMPT))
def test_every_error_of_huggingface_hub_becomes_ours(name: str) -> None:
    foreign = _made(EXPORTED[name])
    with pytest.raises(HubError) as raised, hub_errors(Subject("o/m", "page", "file")):
        raise foreign
    assert raised.value.__cause__ is foreign
    assert raised.value.message and raised.value.hint and "said" not in raised.value.text


def test_no_exemption_is_stale() -> None:
    assert EXEMPT <= EXPORTED.keys()


@pytest.mark.parametrize("name", HTTP_ERRORS)
def test_every_error_of_the_http_client_becomes_ours(name: str) -> None:
    kind = getattr(httpx2, name)
    foreign = kind() if issubclass(kind, httpx2.StreamError) and name != "StreamError" else kind("")
    with pytest.raises(HubError) as raised, hub_errors(Subject()):
        raise foreign
    assert raised.value.__cause__ is foreign and raised.value.hint


@pytest.mark.parametrize(("kind", "ours"), (
    (errors.OfflineModeIsEnabled, Offline), (errors.LocalEntryNotFoundError, Offline),
    (errors.GatedRepoError, Gated), (errors.RepositoryNotFoundError, RepoNotFound),
    (errors.RevisionNotFoundError, RepoNotFound), (errors.DisabledRepoError, RepoNotFound),
    (errors.RemoteEntryNotFoundError, RepoNotFound), (errors.HFValidationError, RepoNotFound),
    (httpx2.ConnectError, Offline), (httpx2.ReadTimeout, Offline), (httpx2.ProxyError, Offline),
    (httpx2.TooManyRedirects, HubBroken), (httpx2.DecodingError, HubBroken),
    (httpx2.InvalidURL, HubBroken), (json.JSONDecodeError, HubBroken), (RecursionError, HubBroken),
))  # fmt: skip
def test_an_error_becomes_the_one_it_means(kind: Any, ours: type[HubError]) -> None:
    foreign = kind("said", "", 0) if kind is json.JSONDecodeError else _made(kind)
    with pytest.raises(ours), hub_errors(Subject("o/m", "page", "file")):
        raise foreign


def test_our_own_errors_pass_unchanged() -> None:
    for own in (Cancelled(), HubBroken("a", "b"), KeyboardInterrupt()):
        with pytest.raises(type(own)) as raised, hub_errors(Subject()):
            raise own
        assert raised.value is own


@pytest.mark.parametrize("fault", (
    {"status": 503}, {"status": 500}, {"status": 502}, {"status": 504}, {"status": 408},
    {"status": 429, "headers": {"Retry-After": "0"}}, {"status": 520, "body": b"[]"},
    {"reset_after_bytes": -1}, {"reset_after_bytes": 0}, {"reset_after_bytes": 1},
))  # fmt: skip
def test_a_passing_fault_is_not_noticed(
    hub: LoopbackHub, client: HubClient, fault: dict[str, Any]
) -> None:
    hub.fault("/api/models", **fault)
    assert [entry["id"] for entry in client.list_models()] == ["o/m"]
    assert len(hub.requests) == 2


@pytest.mark.parametrize(("fault", "ours"), (
    ({"status": 503}, HubBroken), ({"status": 500, "body": b"null"}, HubBroken),
    ({"status": 429, "headers": {"Retry-After": "0"}}, RateLimited), ({"status": 429}, RateLimited),
    ({"reset_after_bytes": -1}, Offline), ({"reset_after_bytes": 1}, Offline),
))  # fmt: skip
def test_a_lasting_fault_ends_after_three_tries(
    hub: LoopbackHub, client: HubClient, fault: dict[str, Any], ours: type[HubError]
) -> None:
    hub.fault("/api/models", times=None, **fault)
    with pytest.raises(ours) as raised:
        client.list_models()
    assert raised.value.hint and raised.value.__cause__ is not None
    assert len(hub.requests) == 3


@pytest.mark.parametrize("fault", ({"delay_s": 9.0}, {"drip_s": 0.1, "drip_bytes": 1}))
def test_a_hub_that_is_too_slow_is_asked_again_and_then_given_up(
    hub: LoopbackHub, hasty: HubClient, fault: dict[str, Any]
) -> None:
    hub.fault("/api/models", times=None, **fault)
    with pytest.raises(Offline, match="in time"):
        hasty.list_models()
    assert len(hub.requests) == 3


@pytest.mark.parametrize("status", (400, 403, 404, 405, 410, 416, 418, 451, 501))
def test_a_refusal_is_not_asked_again(hub: LoopbackHub, client: HubClient, status: int) -> None:
    hub.fault("/api/models", times=None, status=status, body=b'["not", "an", "object"]')
    for ask in (client.list_models, lambda: client.repo("o/m")):
        with pytest.raises(HubError):
            ask()
    assert len(hub.requests) == 2


def test_a_connection_that_breaks_is_no_loss_to_others(hub: LoopbackHub, client: HubClient) -> None:
    hub.fault("/api/models", reset_after_bytes=-1, times=3)
    with pytest.raises(Offline):
        client.list_models()
    assert client.repo("o/m")[0]["id"] == "o/m"


@pytest.mark.parametrize("headers", (
    {"Retry-After": "86400"}, {"Retry-After": "9" * 400}, {"Retry-After": "61"},
    {"Retry-After": "Wed, 21 Oct 2099 07:28:00 GMT"}, {"RateLimit": '"api";r=0;t=295'},
    {"RateLimit": '"api";r=0;t=' + "9" * 400},
))  # fmt: skip
def test_a_long_wait_is_left_to_the_person(
    hub: LoopbackHub, client: HubClient, headers: dict[str, str]
) -> None:
    hub.fault("/api/models", times=None, status=429, headers=headers)
    with pytest.raises(RateLimited, match="asked us to wait") as raised:
        client.list_models()
    assert raised.value.retry_after_s > 60
    assert len(hub.requests) == 1


@pytest.mark.parametrize(("headers", "asked_s"), (
    ({"Retry-After": "12"}, 12), ({"Retry-After": "60"}, 60),
    ({"RateLimit": '"api";r=0;t=33'}, 33), ({"Retry-After": "5", "RateLimit": '"a";r=0;t=9'}, 5),
))  # fmt: skip
def test_a_short_wait_is_told_kept_and_can_be_ended(
    hub: LoopbackHub, client: HubClient, headers: dict[str, str], asked_s: int
) -> None:
    hub.fault("/api/models", times=None, status=429, headers=headers)
    told: list[tuple[float, str]] = []
    with pytest.raises(Cancelled):
        client.list_models(
            on_wait=lambda wait_s, text: told.append((wait_s, text)), cancel=lambda: bool(told)
        )
    assert told == [(asked_s, f"The Hub asked us to wait {asked_s} s.")]
    assert len(hub.requests) == 1


def test_a_rate_that_no_number_can_hold_is_refused(hub: LoopbackHub, client: HubClient) -> None:
    hub.fault("/api/models", status=429, headers={"RateLimit": '"a";r=0;t=' + "9" * 5000})
    with pytest.raises(HubBroken):
        client.list_models()


@pytest.mark.parametrize("value", ("", "soon", "-5", "1e3", "Wed, 99 Foo", "١٢"))
def test_a_wait_that_is_none_is_our_own_pause(
    hub: LoopbackHub, client: HubClient, value: str
) -> None:
    header = value.encode().decode("latin-1")
    hub.fault("/api/models", status=503, headers={"Retry-After": header})
    told: list[str] = []
    client.list_models(on_wait=lambda _, text: told.append(text))
    assert told == ["The Hub gave no answer; trying again."]


def test_a_hub_that_says_nothing_can_be_left(hub: LoopbackHub, client: HubClient) -> None:
    """Its answer comes after the test's own end: without the cancel this would be a failure."""
    hub.fault("/api/models", times=None, delay_s=600)
    with pytest.raises(Cancelled):
        client.list_models(cancel=lambda: bool(hub.requests))
    assert len(hub.requests) == 1


def test_a_body_can_be_cancelled(hub: LoopbackHub, client: HubClient) -> None:
    hub.add_model("o/m", {"README.md": b"x" * 9000})
    hub.fault("/api/resolve-cache", drip_s=0.02, drip_bytes=100)
    with pytest.raises(Cancelled):
        client.read_text("o/m", "main", "README.md", 9999, cancel=lambda: len(hub.requests) > 1)


@pytest.mark.parametrize("body", (
    b"", b"garbage", b"{", b"[" * 100_000, b'{"a": "\xff"}', b"9" * 5000, b"null", b"7", b'"text"',
    b"{}", b'[{"id": "../../etc"}]', b'["text"]', b"[[]]",
))  # fmt: skip
def test_what_is_no_listing_is_refused(hub: LoopbackHub, client: HubClient, body: bytes) -> None:
    hub.fault("/api/models", times=None, status=200, body=body)
    for ask in (client.list_models, lambda: client.repo("o/m")):
        with pytest.raises(HubBroken) as raised:
            ask()
        assert raised.value.hint


@pytest.mark.parametrize("ask", (
    lambda client: client.list_models(), lambda client: client.repo("o/m"),
    lambda client: client.read_text("o/m", "main", "config.json", 999),
))  # fmt: skip
def test_a_login_page_of_the_network_is_told_as_one(
    hub: LoopbackHub, client: HubClient, ask: Callable[[HubClient], object]
) -> None:
    page = {"status": 200, "body": b"<html>", "headers": {"content-type": "text/html; charset=x"}}
    hub.fault("/", times=None, **page)
    with pytest.raises(HubBroken, match="web page") as raised:
        ask(client)
    assert "login" in raised.value.hint


def test_redirects_in_a_circle_end(hub: LoopbackHub, client: HubClient) -> None:
    hub.fault("/api/models", times=None, status=307, headers={"location": "/api/models"})
    with pytest.raises(HubBroken, match="circles"):
        client.list_models()
    assert len(hub.requests) < 20


@pytest.mark.parametrize("location", ("ftp://x/y", "http://[", "file:///etc/passwd", "http://:0/"))
def test_a_redirect_to_what_is_no_web_page_ends(
    hub: LoopbackHub, client: HubClient, location: str
) -> None:
    hub.fault("/api/models", times=None, status=302, headers={"location": location})
    with pytest.raises(HubError):
        client.list_models()


@pytest.mark.parametrize("raw", (
    {"id": "o/m"}, {"id": "o/m", "sha": "main"}, {"id": "o/m", "sha": "../.."},
    {"id": "../etc", "sha": "0" * 40}, {"sha": "0" * 40}, {"id": "o/m", "sha": ["0" * 40]}, [],
))  # fmt: skip
def test_facts_without_a_commit_or_a_name_are_refused(
    hub: LoopbackHub, client: HubClient, raw: Any
) -> None:
    hub.fault("/api/models/o/m", status=200, body=json.dumps(raw).encode())
    with pytest.raises(HubBroken):
        client.repo("o/m")


@pytest.mark.parametrize("entry", (
    {"path": "../../evil"}, {"path": "/etc/passwd"}, {"path": "a/../../b"}, {"path": "a\\..\\b"},
    {"path": "a\nb"}, {"path": ""}, {"path": 7}, {"path": "x" * 5000}, {"size": -1},
    {"size": "1"}, {"size": None}, {"size": True}, {"size": 1.5}, {"oid": "../x"}, {"oid": 7},
    {"lfs": {"oid": "../../x", "size": 1}}, {"lfs": {"size": -1}}, {"lfs": "text"}, {"lfs": [1]},
))  # fmt: skip
def test_a_file_that_could_do_harm_spoils_the_repo(
    hub: LoopbackHub, client: HubClient, entry: dict[str, Any]
) -> None:
    hub.fault(TREE, status=200, body=json.dumps([FILE, {**FILE, **entry}]).encode())
    with pytest.raises(HubBroken) as raised:
        client.repo("o/m")
    assert raised.value.message.isprintable() and len(raised.value.message) < 160


def test_folders_and_unknown_facts_of_files_are_no_harm(
    hub: LoopbackHub, client: HubClient
) -> None:
    page = [{"type": "directory", "path": "d", "oid": "1" * 40, "size": 0}, {**FILE, "lfs": None}]
    hub.fault(TREE, status=200, body=json.dumps(page).encode())
    assert [file.path for file in client.repo("o/m")[2]] == ["a"]


def test_a_port_where_nobody_listens_is_offline(client: HubClient) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}"
        nobody = HubClient({"HF_ENDPOINT": address, "HOME": "/nowhere"}, patience=PATIENCE)
        with pytest.raises(Offline, match="cannot be reached"):
            nobody.list_models()
        nobody.close()
