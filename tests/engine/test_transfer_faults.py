"""Whatever the Hub does, a transfer ends with the new files verified, or says what is wrong."""

import gzip
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.errors import (
    Cancelled,
    EngineError,
    Gated,
    HubBroken,
    HubError,
    IntegrityFailed,
    Interrupted,
    Offline,
    RateLimited,
    RepoNotFound,
)
from engine.library.transfers import ModelTransfer, present_bytes
from tests.engine.transferring import (
    FILES,
    LIMITS,
    TOKEN,
    Rig,
    random_bytes,
    recorded_whole,
    tree_of,
)
from tests.loopback_hub import LoopbackHub

DEADLINE_S = 30.0
LARGE = "model-1.safetensors"
SMALL = "tokenizer.json"
BOMB = gzip.compress(b"\0" * 5_000_000)
GATED = {"x-error-code": "GatedRepo", "x-error-message": "Access is restricted."}
NO_ENTRY = {"x-error-code": "EntryNotFound", "x-error-message": "Entry not found"}
UNAVAILABLE = {"status": 503}

# Answers that a patient client overcomes: what the Hub does once, or twice.
PASSING: Mapping[str, Mapping[str, Any]] = {
    "reset before the answer": {"reset_after_bytes": -1},
    "reset before the body": {"reset_after_bytes": 0},
    "reset in the body": {"reset_after_bytes": 10_000},
    "clean close in the body": {"close_after_bytes": 10_000},
    "stall before the body": {"stall_after_bytes": 0},
    "stall in the body": {"stall_after_bytes": 10_000},
    "another, shorter body": {"body": b"short"},
    "an empty body": {"body": b""},
    "a longer body": {"extra": b"more" * 10_000},
    "wrong bytes of the right size": {"body": random_bytes(len(FILES[LARGE]), seed=77)},
    "503": UNAVAILABLE,
    "500": {"status": 500},
    "408": {"status": 408},
    "429 with a wait": {"status": 429, "headers": {"retry-after": "0"}},
    "a wrong Content-Range": {"last_headers": {"content-range": "bytes 5-9/10"}},
    "a Content-Range of another size": {"last_headers": {"content-range": "bytes 0-63999/64000"}},
    "a Content-Range that is none": {"last_headers": {"content-range": "bytes everything"}},
    "another version": {"last_headers": {"etag": '"another"'}},
    "a range that is not to be had": {"status": 416},
    "not modified": {"status": 304},
    "a packed body": {"last_headers": {"content-encoding": "gzip"}},
    "a gzip bomb": {"body": BOMB, "last_headers": {"content-encoding": "gzip"}},
    "a redirect to itself": {"status": 302, "headers": {"location": ""}},
    "a redirect to a file": {"status": 302, "headers": {"location": "file:///etc/passwd"}},
    "a redirect to nonsense": {"status": 302, "headers": {"location": "http://[::bad/"}},
    "a redirect to an odd name": {"status": 302, "headers": {"location": f"http://{'x' * 80}.a/"}},
    "a login page": {"status": 200, "body": b"<html>", "headers": {"content-type": "text/html"}},
    "an ETag that leads out": {"last_headers": {"etag": '"../../../evil"'}},
    "an ETag of megabytes": {"last_headers": {"etag": '"' + "x" * 20_000 + '"'}},
    "a weak ETag": {"last_headers": {"etag": 'W/"1"'}},
}


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with LoopbackHub(tokens=(TOKEN,)) as hub:
        yield Rig(hub, tmp_path / "a" / "job")


@pytest.fixture(autouse=True)
def nothing_outside_the_folder_changes(rig: Rig, tmp_path: Path) -> Iterator[None]:
    rig.folder.parent.mkdir()
    (tmp_path / "a" / "old-model").write_bytes(b"old")
    before = tree_of(tmp_path)
    yield
    after = {path: body for path, body in tree_of(tmp_path).items() if "job" not in path}
    assert after == before


def small_path(rig: Rig) -> str:
    return f"/api/resolve-cache/models/o/m/{rig.commit}/{SMALL}"


def fails_then_recovers(
    rig: Rig, error: type[EngineError], match: str | None = None
) -> EngineError:
    """It raises that error, has recorded nothing that is not true, and the next one succeeds."""
    with pytest.raises(error, match=match) as raised:
        rig.transfer().run()
    assert TOKEN not in raised.value.text and "http://127" not in raised.value.message
    rig.assert_journal_is_true()
    for path in recorded_whole(rig.folder):
        assert rig.on_disk()[path] == FILES[path]
    rig.hub.clear()
    rig.transfer().run()
    rig.assert_whole()
    return raised.value


@pytest.mark.parametrize("name", PASSING)
def test_a_large_file_survives(rig: Rig, name: str) -> None:
    rig.hub.fault(rig.cdn_path(LARGE), **PASSING[name])
    rig.transfer().run()
    rig.assert_whole()


@pytest.mark.parametrize("name", PASSING)
def test_a_small_file_survives(rig: Rig, name: str) -> None:
    rig.hub.fault(small_path(rig), **PASSING[name])
    rig.transfer().run()
    rig.assert_whole()


@pytest.mark.parametrize("straight_bytes", (1, 10**9))
@pytest.mark.parametrize("name", PASSING)
def test_the_middle_of_a_file_survives(rig: Rig, name: str, straight_bytes: int) -> None:
    rig.hub.fault(rig.cdn_path(LARGE), skip=2, **PASSING[name])
    rig.transfer(replace(LIMITS, straight_bytes=straight_bytes)).run()
    rig.assert_whole()


def test_failures_without_end_are_no_failures_as_long_as_bytes_come(rig: Rig) -> None:
    rig.hub.fault(rig.cdn_path(LARGE), times=40, reset_after_bytes=7_000)
    rig.transfer(replace(LIMITS, base_s=0.001)).run()
    rig.assert_whole()


@pytest.mark.parametrize(("fault", "error"), (
    ({"reset_after_bytes": -1}, Interrupted), ({"reset_after_bytes": 0}, Interrupted),
    ({"close_after_bytes": 0}, Interrupted), ({"stall_after_bytes": 0}, Offline),
    ({"status": 503}, HubBroken), ({"status": 500}, HubBroken), ({"status": 501}, HubBroken),
    ({"status": 429, "headers": {"retry-after": "0"}}, RateLimited),
    ({"last_headers": {"content-range": "bytes 5-9/10"}}, HubBroken),
    ({"status": 416}, HubBroken), ({"last_headers": {"content-encoding": "gzip"}}, HubBroken),
    ({"body": b"short"}, HubBroken), ({"status": 204}, HubBroken),
    ({"status": 302, "headers": {"location": "ftp://a/b"}}, HubBroken),
    ({"status": 403}, HubError), ({"status": 404}, HubError), ({"status": 410}, HubError),
))  # fmt: skip
def test_a_failure_for_ever_ends_with_what_it_is(
    rig: Rig, fault: dict[str, Any], error: type[EngineError]
) -> None:
    rig.hub.fault(rig.cdn_path(LARGE), times=None, **fault)
    fails_then_recovers(rig, error)
    rig.hub.clear()


def test_wrong_bytes_twice_name_the_file_and_leave_nothing_of_it(rig: Rig) -> None:
    wrong = random_bytes(len(FILES[LARGE]), seed=77)
    rig.hub.fault(rig.cdn_path(LARGE), times=None, body=wrong)
    with pytest.raises(IntegrityFailed, match=LARGE):
        rig.transfer().run()
    assert LARGE not in rig.on_disk()
    assert LARGE not in recorded_whole(rig.folder)
    rig.hub.clear()
    rig.transfer().run()
    rig.assert_whole()


def test_wrong_bytes_of_a_small_file_are_noticed_too(rig: Rig) -> None:
    wrong = random_bytes(len(FILES[SMALL]), seed=77)
    rig.hub.fault(small_path(rig), times=None, body=wrong)
    fails_then_recovers(rig, IntegrityFailed, SMALL)


def test_a_server_without_ranges_is_enough(rig: Rig) -> None:
    rig.hub.fault("/o/m/", times=None, ignores_range=True)
    rig.transfer().run()
    rig.assert_whole()


def test_a_server_without_ranges_that_breaks_off_is_asked_from_the_beginning(rig: Rig) -> None:
    for number in range(6):
        cut = 40_000 * (number + 1)
        rig.hub.fault(rig.cdn_path(LARGE), ignores_range=True, close_after_bytes=cut)
    rig.hub.fault(rig.cdn_path(LARGE), times=None, ignores_range=True)
    rig.transfer().run()
    rig.assert_whole()


def test_a_server_without_ranges_that_breaks_off_at_one_place_is_given_up(rig: Rig) -> None:
    rig.hub.fault(rig.cdn_path(LARGE), times=None, ignores_range=True, reset_after_bytes=90_000)
    fails_then_recovers(rig, Interrupted, LARGE)


def test_bytes_of_two_versions_never_mix(rig: Rig) -> None:
    other = random_bytes(len(FILES[LARGE]), seed=5)
    rig.hub.fault(rig.cdn_path(LARGE), times=3, body=other, headers={"etag": '"other"'})
    rig.hub.fault(rig.cdn_path(LARGE), times=None, reset_after_bytes=-1)
    with pytest.raises(Interrupted):
        rig.transfer(replace(LIMITS, connections=1)).run()
    assert present_bytes(rig.folder, rig.repo_files) > 64_000
    rig.hub.clear()
    rig.transfer().run()
    rig.assert_whole()
    asked = [r.headers for r in rig.hub.requests if r.path == rig.cdn_path(LARGE)]
    assert any(headers.get("if-range") == '"other"' for headers in asked)


def test_a_version_that_changes_all_the_time_is_given_up(rig: Rig) -> None:
    for number in range(60):
        rig.hub.fault(rig.cdn_path(LARGE), headers={"etag": f'"{number}"'})
    fails_then_recovers(rig, HubBroken, LARGE)


def test_another_commit_than_the_one_asked_for_is_refused(rig: Rig) -> None:
    rig.hub.fault("/o/m/resolve", times=None, last_headers={"x-repo-commit": "0" * 40})
    fails_then_recovers(rig, HubBroken, "version")


def test_an_address_that_expired_is_asked_for_anew(rig: Rig) -> None:
    rig.hub.fault(rig.cdn_path(LARGE), times=2, skip=1, status=403)
    rig.transfer(replace(LIMITS, connections=1)).run()
    rig.assert_whole()
    asked = [r for r in rig.hub.requests if r.path.endswith(LARGE) and not r.is_cdn]
    assert len(asked) == 3


def test_a_redirect_in_circles_ends(rig: Rig) -> None:
    here = f"/o/m/resolve/{rig.commit}/{LARGE}"
    rig.hub.fault(here, times=None, status=302, headers={"location": here})
    fails_then_recovers(rig, HubBroken, "circles")


@pytest.mark.parametrize(("fault", "error"), (
    ({"status": 401, "headers": GATED}, Gated), ({"status": 403, "headers": GATED}, Gated),
    ({"status": 401}, RepoNotFound), ({"status": 404}, RepoNotFound),
    ({"status": 404, "headers": NO_ENTRY}, RepoNotFound), ({"status": 403}, HubError),
    ({"status": 401, "headers": {"x-error-message": "Invalid credentials in Authorization"}},
     HubError),
))  # fmt: skip
@pytest.mark.parametrize("name", (LARGE, SMALL))
def test_a_refusal_half_way_says_what_it_is_at_once(
    rig: Rig, fault: dict[str, Any], error: type[EngineError], name: str
) -> None:
    path = f"/o/m/resolve/{rig.commit}/{name}"
    rig.hub.fault(path, times=None, **fault)
    with pytest.raises(error):
        rig.transfer().run()
    assert len([r for r in rig.hub.requests if r.path == path]) == 1
    rig.hub.clear()
    rig.transfer().run()
    rig.assert_whole()


def test_a_wait_of_a_day_is_told_and_not_kept(rig: Rig) -> None:
    rig.hub.fault(rig.cdn_path(LARGE), times=None, status=429, headers={"retry-after": "86400"})
    error = fails_then_recovers(rig, RateLimited)
    assert isinstance(error, RateLimited) and error.retry_after_s == 86_400


def running(transfer: ModelTransfer) -> threading.Thread:
    thread = threading.Thread(target=lambda: pytest.raises(Cancelled, transfer.run))
    thread.start()
    return thread


def wait_for_notice(transfer: ModelTransfer, part: str, thread: threading.Thread) -> None:
    while part not in transfer.progress().notice:
        assert thread.is_alive()
        time.sleep(0.01)


@pytest.mark.parametrize(("fault", "part"), (
    ({"status": 429, "headers": {"retry-after": "50"}}, "asked us to wait 5"),
    ({"status": 503, "headers": {"retry-after": "50"}}, "asked us to wait 5"),
    ({"status": 429, "headers": {"ratelimit": '"api";r=0;t=50'}}, "asked us to wait 5"),
    ({"stall_after_bytes": 1_000}, "talled"),
    ({"reset_after_bytes": 0}, "trying again"),
))  # fmt: skip
def test_it_says_what_it_waits_for_and_can_be_stopped_meanwhile(
    rig: Rig, fault: dict[str, Any], part: str
) -> None:
    rig.hub.fault("/", times=None, **fault)
    transfer = rig.transfer(replace(LIMITS, tries=10_000, base_s=5.0))
    thread = running(transfer)
    wait_for_notice(transfer, part, thread)
    transfer.stop()
    thread.join(DEADLINE_S)
    assert not thread.is_alive()
    assert transfer.progress().notice == ""
    rig.hub.clear()
    rig.transfer().run()
    rig.assert_whole()


def test_without_a_server_it_says_so(rig: Rig) -> None:
    rig.hub.close()
    with pytest.raises(Offline):
        rig.transfer().run()
    assert present_bytes(rig.folder, rig.repo_files) == 0


@pytest.mark.parametrize("proxy", ("socks5://127.0.0.1:1", "what://x", "http://[::bad"))
def test_a_proxy_that_cannot_be_used_is_no_network(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.delenv("NO_PROXY")
    with monkeypatch.context() as patch:
        patch.setenv("ALL_PROXY", proxy)
        with pytest.raises(Offline, match="cannot be reached"):
            rig.transfer().run()
    rig.transfer().run()
    rig.assert_whole()


def test_a_login_that_no_header_can_carry_is_told_at_once(rig: Rig) -> None:
    with pytest.raises(HubError, match="login"):
        rig.transfer(token="two\nlines").run()
    assert rig.hub.requests == []


@pytest.mark.parametrize("clock", (lambda: 0.0, lambda: -1e9, lambda: 4e9))
def test_the_computers_clock_does_not_matter(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, clock: Any
) -> None:
    rig.hub.fault(rig.cdn_path(LARGE), status=503, headers={"retry-after": "0"})
    rig.hub.fault(rig.cdn_path(LARGE), stall_after_bytes=10_000)
    monkeypatch.setattr(time, "time", clock)
    rig.transfer().run()
    rig.assert_whole()
