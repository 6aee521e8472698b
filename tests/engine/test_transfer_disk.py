"""A disk that is full, read-only or gone: a clear sentence, and nothing is lost."""

import os
import resource
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from engine.errors import DownloadError, InsufficientDisk
from engine.library.transfers import present_bytes
from tests.engine.transferring import FILES, LIMITS, TOKEN, Rig
from tests.loopback_hub import LoopbackHub

DEADLINE_S = 30.0
LARGE = "model-1.safetensors"
TOTAL_BYTES = sum(map(len, FILES.values()))


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with LoopbackHub(tokens=(TOKEN,)) as hub:
        yield Rig(hub, tmp_path / "place" / "job")


def mounted(*arguments: str) -> bool:
    return subprocess.run(["mount", *arguments], capture_output=True).returncode == 0


@pytest.fixture
def small_disk(rig: Rig) -> Iterator[Path]:
    """A disk of 400 kB in the place of the models folder."""
    place = rig.folder.parent
    place.mkdir()
    try:
        can_mount = mounted("-t", "tmpfs", "-o", "size=400k", "tmpfs", str(place))
    except FileNotFoundError:
        can_mount = False
    if not can_mount:
        pytest.skip("this user may not mount a disk")
    yield place
    subprocess.run(["umount", "-l", place], capture_output=True)


@contextmanager
def files_no_larger_than(size_bytes: int) -> Iterator[None]:
    """The operating system refuses larger files, as a disk or a quota does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_says_so_and_keeps_every_byte(rig: Rig, small_disk: Path) -> None:
    with pytest.raises(InsufficientDisk) as raised:
        rig.transfer().run()
    free_bytes = 400 * 1024 - present_bytes(rig.folder, rig.repo_files)
    assert 0 < raised.value.needed_bytes < TOTAL_BYTES
    assert raised.value.free_bytes <= free_bytes
    recorded_bytes = rig.assert_journal_is_true()
    written_bytes = sum(path.stat().st_blocks * 512 for path in (rig.folder / "files").rglob("*"))
    assert written_bytes - recorded_bytes <= len(FILES) * 4096 * LIMITS.connections
    assert recorded_bytes >= 250_000
    assert mounted("-o", "remount,size=4m", str(small_disk))
    transfer = rig.transfer()
    transfer.run()
    rig.assert_whole()


def test_a_file_that_the_disk_does_not_take_says_so(rig: Rig) -> None:
    rig.folder.parent.mkdir()
    with files_no_larger_than(200_000), pytest.raises(InsufficientDisk) as raised:
        rig.transfer().run()
    assert raised.value.needed_bytes >= len(FILES[LARGE])
    kept = {name for name in FILES if name != LARGE and name in rig.on_disk()}
    assert "config.json" in kept
    rig.hub.clear()
    rig.transfer().run()
    rig.assert_whole()
    assert not any(r.path.endswith("config.json") for r in rig.hub.requests)


def test_a_read_only_disk_says_so(rig: Rig, small_disk: Path) -> None:
    assert mounted("-o", "remount,ro", str(small_disk))
    with pytest.raises(DownloadError, match="cannot be written"):
        rig.transfer().run()
    assert rig.hub.requests == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_says_so(rig: Rig) -> None:
    rig.folder.parent.mkdir(mode=0o555)
    with pytest.raises(DownloadError, match="cannot be written"):
        rig.transfer().run()
    assert rig.hub.requests == []


def test_a_file_in_the_place_of_the_folder_says_so(rig: Rig) -> None:
    rig.folder.parent.mkdir()
    rig.folder.write_bytes(b"a file")
    with pytest.raises(DownloadError):
        rig.transfer().run()
    assert rig.folder.read_bytes() == b"a file"
    assert rig.hub.requests == []


def test_a_models_folder_that_is_not_there_is_not_made(rig: Rig) -> None:
    with pytest.raises(DownloadError, match="gone away"):
        rig.transfer().run()
    assert not rig.folder.parent.exists()
    assert rig.hub.requests == []


def failing_in_the_middle(rig: Rig) -> tuple[threading.Thread, list[DownloadError]]:
    """A transfer that has begun, on a Hub that will never end it."""
    rig.hub.fault(rig.cdn_path(LARGE), times=None, drip_s=0.01, drip_bytes=500)
    errors: list[DownloadError] = []
    transfer = rig.transfer(replace(LIMITS, stall_s=3600.0))

    def run() -> None:
        try:
            transfer.run()
        except DownloadError as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    while transfer.progress().done_bytes < 5_000:
        assert thread.is_alive()
    return thread, errors


def test_a_folder_that_goes_away_says_so_and_goes_on_when_it_is_back(rig: Rig) -> None:
    rig.folder.parent.mkdir()
    thread, errors = failing_in_the_middle(rig)
    rig.folder.parent.rename(rig.folder.parent.with_name("elsewhere"))
    thread.join(DEADLINE_S)
    assert len(errors) == 1 and "gone away" in errors[0].message
    assert not rig.folder.parent.exists()
    rig.folder.parent.with_name("elsewhere").rename(rig.folder.parent)
    assert rig.assert_journal_is_true() > 0
    rig.hub.clear()
    rig.transfer().run()
    rig.assert_whole()


def test_a_disk_that_is_unmounted_says_so_and_nothing_is_written_where_it_was(
    rig: Rig, small_disk: Path
) -> None:
    thread, errors = failing_in_the_middle(rig)
    assert subprocess.run(["umount", "-l", small_disk], capture_output=True).returncode == 0
    thread.join(DEADLINE_S)
    assert len(errors) == 1 and "gone away" in errors[0].message
    assert list(small_disk.iterdir()) == []


@pytest.mark.parametrize("size_bytes", (0, 1, 100_000))
def test_a_file_that_is_shorter_than_the_journal_says_is_mended(rig: Rig, size_bytes: int) -> None:
    rig.folder.parent.mkdir()
    rig.hub.fault(rig.cdn_path(LARGE), times=None, skip=3, reset_after_bytes=0)
    with pytest.raises(DownloadError):
        rig.transfer(replace(LIMITS, connections=1)).run()
    os.truncate(rig.folder / "files" / LARGE, size_bytes)
    before = present_bytes(rig.folder, rig.repo_files)
    assert before <= TOTAL_BYTES - len(FILES[LARGE]) + size_bytes
    rig.hub.clear()
    rig.transfer().run()
    rig.assert_whole()


def test_a_file_that_lost_its_content_to_a_power_cut_is_fetched_again(rig: Rig) -> None:
    rig.folder.parent.mkdir()
    rig.hub.fault(rig.cdn_path(LARGE), times=None, skip=3, reset_after_bytes=0)
    with pytest.raises(DownloadError):
        rig.transfer(replace(LIMITS, connections=1)).run()
    os.truncate(rig.folder / "files" / LARGE, 0)
    os.truncate(rig.folder / "files" / LARGE, len(FILES[LARGE]))
    rig.hub.clear()
    rig.transfer().run()
    rig.assert_whole()
