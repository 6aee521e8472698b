"""A model comes over several connections, whole and verified, and goes on where it was."""

import os
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.errors import Cancelled, DownloadError
from engine.library.transfers import hash_matches, present_bytes
from tests.engine.transferring import (
    FILES,
    LIMITS,
    TOKEN,
    Rig,
    random_bytes,
    recorded_whole,
    repo_file,
    tree_of,
)
from tests.loopback_hub import LoopbackHub

DEADLINE_S = 30.0
LARGE = "model-1.safetensors"
TOTAL_BYTES = sum(map(len, FILES.values()))


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with LoopbackHub(tokens=(TOKEN,)) as hub:
        yield Rig(hub, tmp_path / "job")


def interrupted(rig: Rig) -> int:
    """Fetch some of the large file, then fail; returns the bytes that the journal has of it."""
    rig.hub.fault(rig.cdn_path(LARGE), times=None, reset_after_bytes=0, skip=2)
    with pytest.raises(DownloadError):
        rig.transfer(replace(LIMITS, connections=1)).run()
    rig.hub.clear()
    return rig.assert_journal_is_true()


def test_every_file_arrives_whole_and_verified(rig: Rig) -> None:
    transfer = rig.transfer()
    transfer.run()
    rig.assert_whole()
    progress = transfer.progress()
    assert (progress.done_bytes, progress.total_bytes) == (TOTAL_BYTES, TOTAL_BYTES)
    assert (progress.is_verifying, progress.notice, progress.eta_s) == (False, "", None)
    assert present_bytes(rig.folder, rig.repo_files) == TOTAL_BYTES


def test_a_large_file_comes_over_several_connections(rig: Rig) -> None:
    rig.hub.fault(rig.cdn_path(LARGE), times=None, drip_s=0.002, drip_bytes=2000)
    rig.transfer().run()
    rig.assert_whole()
    asked = [r for r in rig.hub.requests if r.path == rig.cdn_path(LARGE)]
    assert len({r.port for r in asked}) > 1
    assert all("range" in r.headers for r in asked)


def test_small_files_share_connections(rig: Rig, tmp_path: Path) -> None:
    files = {f"{number}.json": b"%d" % number for number in range(40)}
    many = Rig(rig.hub, tmp_path / "many", files)
    rig.hub.clear()
    many.transfer().run()
    many.assert_whole()
    assert len({r.port for r in rig.hub.requests}) <= LIMITS.connections


def test_the_token_goes_to_the_hub_alone(rig: Rig) -> None:
    rig.transfer().run()
    assert {r.token for r in rig.hub.requests if not r.is_cdn} == {TOKEN}
    assert {r.token for r in rig.hub.requests if r.is_cdn} == {""}
    assert any(r.is_cdn for r in rig.hub.requests)


def test_nobody_is_asked_to_pack_a_file(rig: Rig) -> None:
    rig.transfer().run()
    assert {r.headers["accept-encoding"] for r in rig.hub.requests} == {"identity"}


def test_a_second_transfer_fetches_what_is_missing_and_no_more(rig: Rig) -> None:
    kept_bytes = interrupted(rig)
    assert 64_000 <= kept_bytes < TOTAL_BYTES
    assert present_bytes(rig.folder, rig.repo_files) == kept_bytes
    rig.transfer().run()
    rig.assert_whole()
    asked = [r.headers for r in rig.hub.requests if r.path == rig.cdn_path(LARGE)]
    starts = [int(re.findall(r"bytes=(\d+)-", headers["range"])[0]) for headers in asked]
    assert min(starts) >= 128_000
    assert all(headers["if-range"].startswith('"') for headers in asked)


def test_bytes_that_were_here_count_as_done_at_once(rig: Rig) -> None:
    kept_bytes = interrupted(rig)
    rig.hub.fault("/", times=None, stall_after_bytes=0)
    transfer = rig.transfer(replace(LIMITS, stall_s=3600.0))
    thread = threading.Thread(target=lambda: pytest.raises(Cancelled, transfer.run))
    thread.start()
    while transfer.progress().done_bytes < kept_bytes:
        assert thread.is_alive()
    assert (transfer.progress().bytes_per_s, transfer.progress().eta_s) == (0.0, None)
    transfer.stop()
    thread.join(DEADLINE_S)
    assert not thread.is_alive()


def test_what_is_whole_is_not_asked_for_again(rig: Rig) -> None:
    rig.transfer().run()
    rig.hub.clear()
    rig.transfer().run()
    assert rig.hub.requests == []


def test_a_verified_file_that_was_changed_since_is_fetched_again(rig: Rig) -> None:
    rig.transfer().run()
    victim = rig.folder / "files" / LARGE
    victim.write_bytes(random_bytes(len(FILES[LARGE]), seed=9))
    rig.hub.clear()
    rig.transfer().run()
    rig.assert_whole()
    assert {r.path for r in rig.hub.requests if r.is_cdn} == {rig.cdn_path(LARGE)}


def test_good_files_that_were_put_there_are_kept_and_bad_ones_replaced(
    rig: Rig, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "installed"
    elsewhere.mkdir()
    (rig.folder / "files").mkdir(parents=True)
    bad = random_bytes(len(FILES["tokenizer.json"]), seed=9)
    for name, body in ((LARGE, FILES[LARGE]), ("tokenizer.json", bad)):
        (elsewhere / name).write_bytes(body)
        os.link(elsewhere / name, rig.folder / "files" / name)
    before = tree_of(elsewhere)
    assert present_bytes(rig.folder, rig.repo_files) == len(FILES[LARGE]) + len(bad)
    rig.transfer().run()
    rig.assert_whole()
    assert tree_of(elsewhere) == before
    assert rig.cdn_path(LARGE) not in {r.path for r in rig.hub.requests}


def test_a_half_written_file_with_a_second_name_is_not_written_into(
    rig: Rig, tmp_path: Path
) -> None:
    interrupted(rig)
    os.link(rig.folder / "files" / LARGE, tmp_path / "other")
    before = (tmp_path / "other").read_bytes()
    rig.transfer().run()
    rig.assert_whole()
    assert (tmp_path / "other").read_bytes() == before


def test_a_link_in_the_place_of_a_file_is_replaced_not_followed(rig: Rig, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(FILES[LARGE])
    (rig.folder / "files").mkdir(parents=True)
    (rig.folder / "files" / LARGE).symlink_to(outside)
    rig.transfer().run()
    rig.assert_whole()
    assert not (rig.folder / "files" / LARGE).is_symlink()
    assert outside.read_bytes() == FILES[LARGE]


def test_a_cached_file_is_copied_and_not_fetched(rig: Rig, tmp_path: Path) -> None:
    cache = tmp_path / "blob"
    cache.write_bytes(FILES[LARGE])
    rig.transfer(cached=lambda file: cache if file.path == LARGE else None).run()
    rig.assert_whole()
    assert rig.cdn_path(LARGE) not in {r.path for r in rig.hub.requests}
    assert os.stat(cache).st_nlink == 1
    assert not os.path.samefile(cache, rig.folder / "files" / LARGE)


@pytest.mark.parametrize("body", (
    b"", FILES[LARGE][:-1], FILES[LARGE] + b"x", random_bytes(len(FILES[LARGE]), seed=9), None,
))  # fmt: skip
def test_a_wrong_cached_file_is_fetched_instead(
    rig: Rig, tmp_path: Path, body: bytes | None
) -> None:
    cache = tmp_path / "blob"
    if body is not None:
        cache.write_bytes(body)
    rig.transfer(cached=lambda file: cache if file.path == LARGE else None).run()
    rig.assert_whole()
    assert body is None or cache.read_bytes() == body


def test_stop_ends_a_stalled_transfer_and_keeps_what_is_here(rig: Rig) -> None:
    rig.hub.fault(rig.cdn_path(""), times=None, stall_after_bytes=20_000)
    transfer = rig.transfer(replace(LIMITS, stall_s=3600.0))
    ended: list[BaseException] = []

    def run() -> None:
        try:
            transfer.run()
        except Cancelled as error:
            ended.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    while transfer.progress().done_bytes < 20_000:
        assert thread.is_alive()
    transfer.stop()
    thread.join(DEADLINE_S)
    assert [type(error) for error in ended] == [Cancelled]
    assert rig.assert_journal_is_true() >= 20_000
    rig.hub.clear()
    rig.transfer().run()
    rig.assert_whole()


def test_a_transfer_that_was_stopped_before_it_ran_fetches_nothing(rig: Rig) -> None:
    transfer = rig.transfer()
    transfer.stop()
    with pytest.raises(Cancelled):
        transfer.run()
    assert rig.hub.requests == []


def test_two_transfers_into_one_folder_are_one_too_many(rig: Rig) -> None:
    rig.hub.fault(rig.cdn_path(""), times=None, stall_after_bytes=0)
    first = rig.transfer(replace(LIMITS, stall_s=3600.0))
    thread = threading.Thread(target=lambda: pytest.raises(Cancelled, first.run))
    thread.start()
    while not rig.hub.requests:
        assert thread.is_alive()
    with pytest.raises(DownloadError, match="another Pomona"):
        rig.transfer().run()
    first.stop()
    thread.join(DEADLINE_S)
    rig.hub.clear()
    rig.transfer().run()
    rig.assert_whole()


def test_another_commit_with_the_same_content_goes_on_with_what_is_here(rig: Rig) -> None:
    interrupted(rig)
    rig.commit = rig.hub.add_model("o/m", {**FILES, "README.md": b"newer"})
    rig.hub.clear()
    rig.transfer().run()
    rig.assert_whole()
    asked = [r.headers["range"] for r in rig.hub.requests if r.path == rig.cdn_path(LARGE)]
    assert not any(text.startswith("bytes=0-") for text in asked)


def test_another_commit_with_other_content_begins_anew(rig: Rig) -> None:
    interrupted(rig)
    rig.files = {**FILES, LARGE: random_bytes(len(FILES[LARGE]), seed=8)}
    rig.commit = rig.hub.add_model("o/m", rig.files)
    rig.hub.clear()
    rig.transfer().run()
    rig.assert_whole()


def test_a_hash_is_the_sha256_or_the_git_blob(tmp_path: Path) -> None:
    for path, body in FILES.items():
        file, place = repo_file(path, body), tmp_path / "file"
        place.write_bytes(body)
        assert hash_matches(place, file)
        assert not hash_matches(place, replace(file, size_bytes=file.size_bytes + 1))
        place.write_bytes(body[:-1] + b"!" if body else b"!")
        assert not hash_matches(place, file)
    assert not hash_matches(tmp_path / "nowhere", repo_file("a", b"a"))
    place.write_bytes(b"a")
    with pytest.raises(Cancelled):
        hash_matches(place, repo_file("a", b"a"), stop=lambda: True)


def test_present_bytes_of_nothing_are_none(tmp_path: Path) -> None:
    assert present_bytes(tmp_path / "nowhere", [repo_file("a", b"a")]) == 0
    assert recorded_whole(tmp_path) == set()
