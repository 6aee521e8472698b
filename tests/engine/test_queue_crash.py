"""The moment in which a model takes its place, interrupted: the old one or the new one is there."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.errors import DownloadError
from engine.library.queue_limits import QueueLimits
from tests.engine.downloading import (
    PEAR,
    Rig,
    files_of,
    wait_for,
    wait_until,
    wanted,
)
from tests.loopback_hub import LoopbackHub


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Rig]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with LoopbackHub() as hub:
        rig = Rig(hub, tmp_path)
        yield rig
        rig.close()


@pytest.mark.parametrize("point", [1, 2, 3, 4])
def test_a_kill_during_an_update_leaves_the_old_model_or_the_new_one(rig: Rig, point: int) -> None:
    old = rig.add(shards=3)
    first = rig.open()
    wait_until(first, first.start(PEAR).job_id, "done")
    first.close()
    new = rig.add(seed=1, shards=3)
    child = rig.child("--update", "--die", str(point), PEAR)
    assert child.wait(30) == -9
    rig.hub.clear()
    second = rig.open()
    wait_for(lambda: second.list() or point == 4)  # by then the folder is tidied up
    expected = [wanted(new)] if point == 4 else [wanted(old), wanted(new)]
    assert files_of(rig.models_dir / PEAR) in expected
    for status in second.list():
        wait_until(second, status.job_id, "done")
    wait_for(lambda: rig.staging == [])
    assert files_of(rig.models_dir / PEAR) == wanted(new)
    assert rig.asked_for() == []
    (model,) = [m for m in rig.library.list() if m.source == "pomona"]
    assert not model.is_damaged and rig.library.verify(PEAR) == ()


@pytest.mark.parametrize("point", [1, 2])
def test_a_kill_when_a_new_model_takes_its_place_loses_nothing(rig: Rig, point: int) -> None:
    files = rig.add()
    assert rig.child("--die", str(point), PEAR).wait(30) == -9
    assert (rig.models_dir / PEAR).exists() == (point == 2)
    rig.hub.clear()
    downloads = rig.open()
    wait_for(lambda: (rig.models_dir / PEAR).exists() and rig.staging == [])
    assert files_of(rig.models_dir / PEAR) == wanted(files)
    wait_for(lambda: {status.state for status in downloads.list()} <= {"done"})
    assert rig.asked_for() == []


def test_a_model_that_somebody_put_there_meanwhile_is_replaced_by_the_whole_one(rig: Rig) -> None:
    files = rig.add()
    rig.stall()
    downloads = rig.open()
    job = downloads.start(PEAR)
    wait_for(lambda: rig.asked_for())
    mine = rig.models_dir / PEAR
    mine.mkdir(parents=True)
    (mine / "config.json").write_text("{}")
    (mine / "notes.txt").write_text("mine")
    downloads.pause(job.job_id)
    rig.hub.clear()
    downloads.resume(job.job_id)
    wait_until(downloads, job.job_id, "done")
    assert files_of(mine) == {**wanted(files), "notes.txt": b"mine"}


def test_a_link_put_in_the_way_meanwhile_fails_the_job_and_is_not_followed(rig: Rig) -> None:
    rig.add()
    rig.stall()
    downloads = rig.open()
    job = downloads.start(PEAR)
    wait_for(lambda: rig.asked_for())
    downloads.pause(job.job_id)
    elsewhere = rig.folder / "elsewhere"
    elsewhere.mkdir()
    (rig.models_dir / "pear").mkdir()
    (rig.models_dir / PEAR).symlink_to(elsewhere)
    rig.hub.clear()
    downloads.resume(job.job_id)
    assert "link" in wait_until(downloads, job.job_id, "failed").error
    assert list(elsewhere.iterdir()) == []
    (rig.models_dir / PEAR).unlink()
    downloads.retry(job.job_id)
    wait_until(downloads, job.job_id, "done")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MB at the place of the models folder."""
    place = tmp_path / "models"
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "pomona-test", str(place)], capture_output=True
    )
    if made.returncode:
        pytest.skip("only root can make a small disk")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_disk_that_fills_up_pauses_the_job_and_loses_nothing(small_disk: Path, rig: Rig) -> None:
    files = rig.add(shards=3)
    weights_bytes = sum(len(body) for body in wanted(files).values())
    filler = small_disk / "filler"
    commit = rig.hub.models[PEAR].newest
    rig.hub.fault(f"/{PEAR}/{commit}/", times=None, drip_s=0.02, drip_bytes=4096)
    downloads = rig.open()
    job = downloads.start(PEAR)
    wait_for(lambda: rig.asked_for())
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"\0" * 4096):  # somebody else takes all that is left
            pass
    paused = wait_until(downloads, job.job_id, "paused")
    assert "full" in paused.error or "room" in paused.error
    assert paused.done_bytes < weights_bytes
    downloads.close()
    again = rig.open()
    wait_for(again.list)
    assert wait_until(again, job.job_id, "paused").error == paused.error
    filler.unlink()
    rig.hub.clear()
    again.resume(job.job_id)
    wait_until(again, job.job_id, "done")
    assert files_of(rig.models_dir / PEAR) == wanted(files)


def test_a_job_whose_turn_comes_on_a_full_disk_pauses_and_says_how_much_is_needed(
    rig: Rig,
) -> None:
    rig.add()
    rig.stall()
    first = rig.open()
    job = first.start(PEAR)
    first.close()
    second = rig.open(limits=QueueLimits(margin_bytes=10**18))
    paused = wait_until(second, job.job_id, "paused")
    assert "needed" in paused.error and "free" in paused.error
    second.close()
    rig.hub.clear()
    third = rig.open()
    wait_for(third.list)
    third.resume(job.job_id)
    wait_until(third, job.job_id, "done")


def test_a_disk_that_turns_read_only_fails_the_job_in_plain_words(
    small_disk: Path, rig: Rig
) -> None:
    rig.add()
    rig.stall()
    downloads = rig.open()
    job = downloads.start(PEAR)
    wait_for(lambda: rig.asked_for())
    downloads.pause(job.job_id)
    with read_only(small_disk):
        downloads.resume(job.job_id)
        assert "cannot be written" in wait_until(downloads, job.job_id, "failed").error
        downloads.close()
        second = rig.open()
        assert second.list() == () and "cannot be written" in second.problem
        assert second.plan(PEAR).total_bytes == job.total_bytes
        with pytest.raises(DownloadError, match="cannot be written"):
            second.start(PEAR)
    rig.hub.clear()
    assert second.problem == ""
    wait_for(second.list)
    second.retry(job.job_id)
    wait_until(second, job.job_id, "done")


@contextlib.contextmanager
def read_only(place: Path) -> Iterator[None]:
    """Nothing new can be written below ``place``."""
    subprocess.run(["mount", "--bind", str(place), str(place)], check=True)
    subprocess.run(["mount", "-o", "remount,ro,bind", str(place)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_what_was_being_replaced_is_found_again_even_without_a_record(rig: Rig) -> None:
    files = rig.add()
    first = rig.open()
    wait_until(first, first.start(PEAR).job_id, "done")
    first.close()
    aside = rig.models_dir / ".downloads" / ("0" * 16) / "old" / "1" / "pear"
    aside.mkdir(parents=True)
    (rig.models_dir / PEAR).rename(aside / "Pear-1B-4bit")
    assert not os.path.exists(rig.models_dir / PEAR)
    second = rig.open()
    wait_for(lambda: (rig.models_dir / PEAR).exists())
    assert files_of(rig.models_dir / PEAR) == wanted(files) and second.list() == ()
