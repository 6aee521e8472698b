"""The queue: two at once, in order; pause, resume, cancel and retry; failures that lose nothing."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from engine.errors import DownloadError
from tests.engine.downloading import (
    PEAR,
    Rig,
    files_of,
    state_of,
    status_of,
    wait_for,
    wait_until,
    wanted,
)
from tests.loopback_hub import LoopbackHub

NAMES = ("pear/A", "pear/B", "pear/C", "pear/D")


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Rig]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with LoopbackHub() as hub:
        rig = Rig(hub, tmp_path)
        yield rig
        rig.close()


def test_two_run_and_the_rest_waits_in_order(rig: Rig) -> None:
    for name in NAMES:
        rig.add(name)
        rig.stall(name)
    downloads = rig.open()
    ids = [downloads.start(name).job_id for name in NAMES]
    wait_for(lambda: rig.asked_for(NAMES[1]))
    listed = downloads.list()
    assert [status.job_id for status in listed] == ids
    assert [status.state for status in listed] == ["running", "running", "queued", "queued"]
    assert [status.position for status in listed] == [0, 0, 1, 2]
    assert rig.asked_for(NAMES[2]) == []
    downloads.cancel(ids[1])
    wait_for(lambda: rig.asked_for(NAMES[2]))
    assert state_of(downloads, ids[3]) == "queued" and rig.asked_for(NAMES[3]) == []


def test_all_of_a_long_line_arrive(rig: Rig) -> None:
    for name in NAMES:
        rig.add(name)
    downloads = rig.open()
    ids = [downloads.start(name).job_id for name in NAMES]
    for job_id in ids:
        assert wait_until(downloads, job_id, "done", "failed").error == ""
    assert {m.repo_id for m in rig.library.list() if m.source == "pomona"} == set(NAMES)
    assert rig.staging == []


def test_a_stalled_download_pauses_and_goes_on_without_fetching_twice(rig: Rig) -> None:
    files = rig.add()
    shard = "model-00002-of-00002.safetensors"
    commit = rig.hub.models[PEAR].newest
    rig.hub.fault(f"/{PEAR}/{commit}/{shard}", times=None, delay_s=600.0)
    downloads = rig.open()
    job = downloads.start(PEAR)
    rest_bytes = job.total_bytes - len(files[shard])
    wait_for(lambda: status_of(downloads, job.job_id).done_bytes >= rest_bytes)
    paused = downloads.pause(job.job_id)
    assert paused.state == "paused" and paused.bytes_per_s == 0
    assert downloads.pause(job.job_id).state == "paused"
    assert paused.done_bytes == rest_bytes
    rig.hub.clear()
    assert downloads.resume(job.job_id).state in ("queued", "running")
    wait_until(downloads, job.job_id, "done")
    assert files_of(rig.models_dir / PEAR) == wanted(files)
    assert {request.path.rpartition("/")[2] for request in rig.hub.requests} == {shard}


def test_a_paused_one_leaves_its_place_to_the_next(rig: Rig) -> None:
    for name in NAMES[:3]:
        rig.add(name)
        rig.stall(name)
    downloads = rig.open()
    first, second, third = (downloads.start(name).job_id for name in NAMES[:3])
    wait_for(lambda: rig.asked_for(NAMES[0]) and rig.asked_for(NAMES[1]))
    downloads.pause(first)
    wait_for(lambda: state_of(downloads, third) == "running")
    assert [s.job_id for s in downloads.list()] == [second, third, first]
    downloads.resume(first)
    assert status_of(downloads, first).position == 1


@pytest.mark.parametrize("before", ["running", "queued", "paused"])
def test_cancel_deletes_what_came_and_keeps_nothing_of_it(rig: Rig, before: str) -> None:
    for name in NAMES[:3]:
        rig.add(name)
        rig.stall(name)
    downloads = rig.open()
    ids = [downloads.start(name).job_id for name in NAMES[:3]]
    job_id = ids[2] if before == "queued" else ids[0]
    wait_for(lambda: rig.asked_for(NAMES[0]))
    if before == "paused":
        downloads.pause(job_id)
    assert state_of(downloads, job_id) == before
    assert downloads.cancel(job_id).state == "cancelled"
    assert job_id not in rig.staging
    assert downloads.cancel(job_id).state == downloads.pause(job_id).state == "cancelled"
    assert not downloads.is_busy(status_of(downloads, job_id).repo_id)
    downloads.forget(job_id)
    assert job_id not in [status.job_id for status in downloads.list()]


def test_what_is_not_over_cannot_be_forgotten(rig: Rig) -> None:
    rig.add()
    rig.stall()
    downloads = rig.open()
    job = downloads.start(PEAR)
    with pytest.raises(DownloadError, match="Cancel it first|not over"):
        downloads.forget(job.job_id)
    assert state_of(downloads, job.job_id) == "running"


def test_a_cancelled_one_starts_anew(rig: Rig) -> None:
    files = rig.add()
    rig.stall()
    downloads = rig.open()
    job = downloads.start(PEAR)
    downloads.cancel(job.job_id)
    rig.hub.clear()
    again = downloads.retry(job.job_id)
    assert again.job_id != job.job_id
    wait_until(downloads, again.job_id, "done")
    assert files_of(rig.models_dir / PEAR) == wanted(files)
    assert [status.job_id for status in downloads.list()] == [again.job_id]


def test_a_hub_in_trouble_fails_one_job_and_retry_goes_on(rig: Rig) -> None:
    files = rig.add()
    shard = "model-00002-of-00002.safetensors"
    shard_path = f"/{PEAR}/{rig.hub.models[PEAR].newest}/{shard}"
    rig.hub.fault(shard_path, times=None, delay_s=600.0)
    downloads = rig.open()
    job = downloads.start(PEAR)
    rest_bytes = job.total_bytes - len(files[shard])
    wait_for(lambda: status_of(downloads, job.job_id).done_bytes >= rest_bytes)
    downloads.pause(job.job_id)
    rig.hub.clear()
    rig.hub.fault(shard_path, times=None, status=503)
    downloads.resume(job.job_id)
    failed = wait_until(downloads, job.job_id, "failed")
    assert "Hub" in failed.error and failed.done_bytes == rest_bytes
    assert not downloads.is_busy(PEAR)
    rig.hub.clear()
    downloads.retry(job.job_id)
    wait_until(downloads, job.job_id, "done")
    assert files_of(rig.models_dir / PEAR) == wanted(files)
    assert set(rig.asked_for()) == {shard}


def test_a_day_of_waiting_is_told_and_not_waited_for(rig: Rig) -> None:
    rig.add()
    rig.hub.fault(f"/{PEAR}/resolve/", times=None, status=429, headers={"retry-after": "86400"})
    downloads = rig.open()
    with pytest.raises(Exception, match="24 h"):
        downloads.start(PEAR)  # the config is asked for first
    rig.hub.clear()
    commit = rig.hub.models[PEAR].newest
    rig.hub.fault(f"/{PEAR}/{commit}/", times=None, status=429, headers={"retry-after": "86400"})
    job = downloads.start(PEAR)
    failed = wait_until(downloads, job.job_id, "failed")
    assert "24 h" in failed.error and "after" in failed.error


def test_a_model_deleted_on_the_hub_half_way_says_so(rig: Rig) -> None:
    rig.add()
    rig.stall()
    downloads = rig.open()
    job = downloads.start(PEAR)
    wait_for(lambda: rig.asked_for())
    downloads.pause(job.job_id)
    rig.hub.clear()
    del rig.hub.models[PEAR]
    downloads.resume(job.job_id)
    assert "no model" in wait_until(downloads, job.job_id, "failed").error
    downloads.forget(job.job_id)
    assert rig.staging == [] and downloads.list() == ()


def test_each_change_of_state_is_counted_and_looking_is_not(rig: Rig) -> None:
    rig.add()
    rig.stall()
    downloads = rig.open()
    seen = [downloads.version]
    job = downloads.start(PEAR)
    wait_for(lambda: rig.asked_for())
    for act in (downloads.pause, downloads.resume, downloads.pause, downloads.cancel):
        seen.append(downloads.version)
        act(job.job_id)
    downloads.list()
    seen.append(downloads.version)
    assert seen == sorted(set(seen))
    downloads.list()
    assert downloads.version == seen[-1]


def test_the_library_never_shows_half_a_model(rig: Rig) -> None:
    rig.add(shards=4)
    for repo_file in rig.hub.models[PEAR].commits[rig.hub.models[PEAR].newest]:
        rig.hub.fault(f"/{PEAR}/{rig.hub.models[PEAR].newest}/{repo_file}", drip_s=0.002)
    downloads = rig.open()
    job = downloads.start(PEAR)
    seen = []
    while state_of(downloads, job.job_id) not in ("done", "failed"):
        seen += [m for m in rig.library.list() if m.source == "pomona"]
    seen += [m for m in rig.library.list() if m.source == "pomona"]
    assert seen and all(not model.is_damaged for model in seen)
    assert {model.size_bytes for model in seen} == {seen[-1].size_bytes}


def test_many_hands_on_one_job_leave_it_whole(rig: Rig) -> None:
    files = rig.add(shards=4)
    for name in files:
        rig.hub.fault(f"/{PEAR}/{rig.hub.models[PEAR].newest}/{name}", times=20, drip_s=0.005)
    downloads = rig.open()
    job = downloads.start(PEAR)

    def press(buttons: list[Callable[[str], object]]) -> None:
        for button in buttons * 15:
            button(job.job_id)

    hands = [[downloads.pause, downloads.resume], [downloads.resume, downloads.pause],
             [downloads.retry, downloads.pause]]  # fmt: skip
    with ThreadPoolExecutor(len(hands)) as threads:
        for pressed in [threads.submit(press, buttons) for buttons in hands]:
            pressed.result()
    downloads.resume(job.job_id)
    assert wait_until(downloads, job.job_id, "done", "failed").error == ""
    assert files_of(rig.models_dir / PEAR) == wanted(files) and len(downloads.list()) == 1


def test_several_people_who_start_one_model_start_one_job(rig: Rig) -> None:
    rig.add()
    rig.stall()
    downloads = rig.open()
    with ThreadPoolExecutor(6) as threads:
        started = list(threads.map(downloads.start, [PEAR] * 6))
    assert len({status.job_id for status in started}) == 1 and len(rig.staging) == 1
