"""The queue over restarts: ended politely, killed, on two computers' worth of instances."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.errors import DownloadError
from engine.library.metadata import read_metadata
from tests.engine.downloading import (
    PEAR,
    Rig,
    files_of,
    kill,
    state_of,
    status_of,
    wait_for,
    wait_until,
    wait_until_ready,
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


def test_a_restart_goes_on_by_itself_in_the_same_order_and_leaves_paused_ones(rig: Rig) -> None:
    files = {name: rig.add(name, seed=n) for n, name in enumerate(NAMES)}
    for name in NAMES:
        rig.stall(name)
    first = rig.open()
    ids = [first.start(name).job_id for name in NAMES]
    first.pause(ids[1])
    wait_for(lambda: rig.asked_for(NAMES[2]))
    first.close()
    second = rig.open()
    wait_for(lambda: len(second.list()) == 4)
    wait_for(lambda: state_of(second, ids[0]) == state_of(second, ids[2]) == "running")
    assert [status.job_id for status in second.list()] == [ids[0], ids[2], ids[3], ids[1]]
    rig.hub.clear()
    second.close()
    third = rig.open()
    for n in (0, 2, 3):
        wait_until(third, ids[n], "done")
        assert files_of(rig.models_dir / NAMES[n]) == wanted(files[NAMES[n]])
    assert state_of(third, ids[1]) == "paused" and rig.asked_for(NAMES[1]) == []


def test_after_a_kill_the_next_start_goes_on_from_what_is_on_disk(rig: Rig) -> None:
    files = rig.add(shards=3)
    commit = rig.hub.models[PEAR].newest
    rig.hub.fault(f"/{PEAR}/{commit}/model-00003", times=None, delay_s=600.0)
    child = rig.child(PEAR)
    wait_until_ready(child)
    looker = rig.open()
    wait_for(lambda: looker.list() and looker.list()[0].done_bytes)
    (seen,) = looker.list()
    here_bytes = seen.total_bytes - len(files["model-00003-of-00003.safetensors"])
    wait_for(lambda: status_of(looker, seen.job_id).done_bytes >= here_bytes)
    looker.close()
    kill(child)
    rig.hub.clear()
    downloads = rig.open()
    wait_until(downloads, seen.job_id, "done")
    assert files_of(rig.models_dir / PEAR) == wanted(files)
    assert set(rig.asked_for()) == {"model-00003-of-00003.safetensors"}
    assert rig.staging == []


def test_a_failed_one_stays_failed_with_its_reason(rig: Rig) -> None:
    rig.add()
    rig.hub.fault(f"/{PEAR}/{rig.hub.models[PEAR].newest}/", times=None, status=503)
    first = rig.open()
    job = first.start(PEAR)
    failed = wait_until(first, job.job_id, "failed")
    first.close()
    rig.hub.clear()
    rig.add(NAMES[1])
    second = rig.open()
    wait_until(second, second.start(NAMES[1]).job_id, "done")
    status = status_of(second, job.job_id)
    assert status.state == "failed" and status.error == failed.error != ""
    assert not (rig.models_dir / PEAR).exists()


def test_what_is_started_after_a_restart_comes_last(rig: Rig) -> None:
    for name in NAMES:
        rig.add(name)
        rig.stall(name)
    first = rig.open()
    ids = [first.start(name).job_id for name in NAMES[:3]]
    first.close()
    second = rig.open()
    ids.append(second.start(NAMES[3]).job_id)
    assert [status.job_id for status in second.list()] == ids
    assert status_of(second, ids[3]).position == 2


def test_a_cancel_that_was_killed_half_way_is_finished_at_the_next_start(rig: Rig) -> None:
    rig.add()
    rig.stall()
    first = rig.open()
    job = first.start(PEAR)
    first.close()
    record = rig.models_dir / ".downloads" / job.job_id / "job.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "state": "cancelled"}))
    second = rig.open()
    wait_for(lambda: rig.staging == [])
    assert second.list() == ()


def test_another_hub_goes_on_where_the_first_one_was(rig: Rig) -> None:
    files = rig.add(shards=3)
    shard = "model-00003-of-00003.safetensors"
    rig.hub.fault(f"/{PEAR}/{rig.hub.models[PEAR].newest}/{shard}", times=None, delay_s=600.0)
    first = rig.open()
    job = first.start(PEAR)
    rest_bytes = job.total_bytes - len(files[shard])
    wait_for(lambda: status_of(first, job.job_id).done_bytes >= rest_bytes)
    first.close()
    with LoopbackHub() as mirror:
        mirror.add_model(PEAR, files)
        rig.hub.clear()
        second = rig.open(HF_ENDPOINT=mirror.url)
        wait_until(second, job.job_id, "done")
        assert {r.path.rpartition("/")[2] for r in mirror.requests} == {shard}
    assert rig.hub.requests == [] and files_of(rig.models_dir / PEAR) == wanted(files)


def test_ended_ones_are_not_remembered(rig: Rig) -> None:
    for name in NAMES[:2]:
        rig.add(name)
    rig.stall(NAMES[1])
    first = rig.open()
    wait_until(first, first.start(NAMES[0]).job_id, "done")
    first.cancel(first.start(NAMES[1]).job_id)
    first.close()
    assert rig.open().list() == () and rig.staging == []


def test_a_second_pomona_looks_on_and_takes_over_when_the_first_one_ends(rig: Rig) -> None:
    files = rig.add()
    rig.add("plum/Plum")
    rig.stall()
    first, second = rig.open(), None
    job = first.start(PEAR)
    wait_for(lambda: rig.asked_for())
    second = rig.open()
    assert [s.job_id for s in second.list()] == [job.job_id]
    assert state_of(second, job.job_id) == "running" and second.is_busy(PEAR)
    for act in (
        lambda: second.start("plum/Plum"), lambda: second.pause(job.job_id),
        lambda: second.cancel(job.job_id), lambda: second.repair(PEAR),
    ):  # fmt: skip
        with pytest.raises(DownloadError, match="Another Pomona"):
            act()
    assert state_of(first, job.job_id) == "running"
    before = second.version
    rig.hub.clear()
    first.close()
    wait_for(lambda: (rig.models_dir / PEAR).exists())  # nobody has to ask the second one
    wait_for(lambda: state_of(second, job.job_id) == "done")
    assert second.version > before and files_of(rig.models_dir / PEAR) == wanted(files)
    wait_until(second, second.start("plum/Plum").job_id, "done")


def test_a_killed_pomona_leaves_its_queue_to_the_other_one(rig: Rig) -> None:
    files = rig.add()
    rig.stall()
    child = rig.child(PEAR)
    wait_until_ready(child)
    downloads = rig.open()
    (job,) = downloads.list()
    rig.hub.clear()
    kill(child)
    wait_until(downloads, job.job_id, "done")
    assert files_of(rig.models_dir / PEAR) == wanted(files)


@pytest.mark.parametrize(
    "garbage",
    [b"", b"[[", b"[]", b"{}", b'{"format": 1}', b"\xff\xfe", b'{"repo_id": "../../etc"}'],
)
def test_a_broken_record_is_kept_aside_and_the_others_go_on(rig: Rig, garbage: bytes) -> None:
    for name in NAMES[:3]:
        rig.add(name)
        rig.stall(name)
    first = rig.open()
    ids = [first.start(name).job_id for name in NAMES[:3]]
    wait_for(lambda: rig.asked_for(NAMES[0]))
    first.close()
    record = rig.models_dir / ".downloads" / ids[0] / "job.json"
    record.write_bytes(garbage)
    second = rig.open()
    wait_for(lambda: len(second.list()) == 2)
    assert {status.job_id for status in second.list()} == set(ids[1:])
    assert rig.staging == sorted([*ids[1:], f"{ids[0]}.broken"])


@pytest.mark.parametrize(
    "key, value",
    [("repo_id", "../.."), ("repo_id", "a/.."), ("revision", "../x"), ("sequence", "1"),
     ("files", [{"path": "../evil", "size_bytes": 1, "git_oid": None, "sha256": None}]),
     ("files", [{"path": "/etc/evil", "size_bytes": 1, "git_oid": None, "sha256": None}]),
     ("state", "strange")],
)  # fmt: skip
def test_a_record_that_leads_elsewhere_is_a_broken_one(rig: Rig, key: str, value: object) -> None:
    rig.add()
    rig.stall()
    first = rig.open()
    job = first.start(PEAR)
    first.pause(job.job_id)
    first.close()
    record = rig.models_dir / ".downloads" / job.job_id / "job.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), key: value}))
    second = rig.open()
    wait_for(lambda: rig.staging == [f"{job.job_id}.broken"])
    assert second.list() == ()


def test_a_link_among_the_jobs_is_not_followed(rig: Rig) -> None:
    rig.add()
    rig.stall()
    first = rig.open()
    job = first.start(PEAR)
    first.pause(job.job_id)
    first.close()
    folder = rig.models_dir / ".downloads" / job.job_id
    elsewhere = rig.folder / "elsewhere"
    folder.rename(elsewhere)
    folder.symlink_to(elsewhere)
    kept = files_of(elsewhere)
    second = rig.open()
    with pytest.raises(DownloadError, match="no such download"):
        second.cancel(job.job_id)
    assert second.list() == ()
    assert files_of(elsewhere) == kept


def test_a_drive_that_is_taken_away_and_comes_back(rig: Rig) -> None:
    files = rig.add()
    rig.stall()
    downloads = rig.open()
    job = downloads.start(PEAR)
    wait_for(lambda: rig.asked_for())
    away = rig.folder / "away"
    rig.models_dir.rename(away)
    rig.models_dir.mkdir()  # the mount point, empty
    failed = wait_until(downloads, job.job_id, "failed")
    assert "gone away" in failed.error
    downloads.retry(job.job_id)
    assert "no longer there" in wait_until(downloads, job.job_id, "failed").error
    assert list(rig.models_dir.iterdir()) == []
    rig.models_dir.rmdir()
    away.rename(rig.models_dir)
    rig.hub.clear()
    downloads.retry(job.job_id)
    wait_until(downloads, job.job_id, "done")
    assert files_of(rig.models_dir / PEAR) == wanted(files)
    assert read_metadata(rig.models_dir / PEAR) is not None
