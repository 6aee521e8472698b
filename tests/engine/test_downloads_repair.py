"""Repair and update: only what is bad or new is fetched, and there is always a whole model."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.errors import NotInstalled
from engine.library.metadata import read_metadata
from tests.engine.downloading import PEAR, Rig, files_of, wait_until, wanted
from tests.loopback_hub import LoopbackHub

SHARDS = [f"model-{n:05}-of-00003.safetensors" for n in (1, 2, 3)]


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Rig]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with LoopbackHub() as hub:
        rig = Rig(hub, tmp_path)
        yield rig
        rig.close()


def install(rig: Rig, seed: int = 0) -> dict[str, bytes]:
    """A downloaded model of three shards, with the Hub's memory wiped."""
    files = rig.add(seed=seed, shards=3)
    downloads = rig.open()
    wait_until(downloads, downloads.start(PEAR).job_id, "done")
    downloads.close()
    rig.hub.clear()
    return files


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("is_damaged_by", ["a flipped bit", "a missing file", "a cut"])
def test_repair_fetches_the_bad_file_alone(rig: Rig, is_damaged_by: str) -> None:
    files = install(rig)
    bad = rig.models_dir / PEAR / SHARDS[1]
    if is_damaged_by == "a flipped bit":
        flip_a_bit(bad)
    elif is_damaged_by == "a missing file":
        bad.unlink()
    else:
        os.truncate(bad, 100)
    assert rig.library.verify(PEAR) == (SHARDS[1],)
    downloads = rig.open()
    done = wait_until(downloads, downloads.repair(PEAR).job_id, "done", "failed")
    assert (done.state, done.error) == ("done", "")
    assert files_of(rig.models_dir / PEAR) == wanted(files)
    assert set(rig.asked_for()) == {SHARDS[1]}
    assert rig.library.verify(PEAR) == () and rig.staging == []


def test_repair_of_a_whole_model_fetches_nothing_and_needs_no_network(rig: Rig) -> None:
    files = install(rig)
    offline = rig.open(HF_HUB_OFFLINE="1")
    wait_until(offline, offline.repair(PEAR).job_id, "done")
    assert rig.hub.requests == [] and files_of(rig.models_dir / PEAR) == wanted(files)


def test_repair_keeps_to_the_version_that_was_downloaded(rig: Rig) -> None:
    files = install(rig)
    revision = rig.hub.models[PEAR].newest
    rig.add(seed=1, shards=3)
    flip_a_bit(rig.models_dir / PEAR / SHARDS[0])
    downloads = rig.open()
    wait_until(downloads, downloads.repair(PEAR).job_id, "done")
    assert files_of(rig.models_dir / PEAR) == wanted(files)
    metadata = read_metadata(rig.models_dir / PEAR)
    assert metadata is not None and metadata.revision == revision


def test_a_repair_that_fails_leaves_the_model_as_it_was(rig: Rig) -> None:
    install(rig)
    flip_a_bit(rig.models_dir / PEAR / SHARDS[0])
    before = files_of(rig.models_dir / PEAR)
    rig.hub.fault(f"/{PEAR}/", times=None, status=503)
    downloads = rig.open()
    job = downloads.repair(PEAR)
    wait_until(downloads, job.job_id, "failed")
    assert files_of(rig.models_dir / PEAR) == before
    downloads.cancel(job.job_id)
    assert files_of(rig.models_dir / PEAR) == before and rig.staging == []


def test_a_copy_made_by_hand_is_compared_with_the_hub(rig: Rig) -> None:
    files = install(rig)
    folder = rig.models_dir / PEAR
    (folder / ".pomona.json").unlink()
    (folder / "my notes.md").write_text("mine")
    (folder / "model-00009-of-00003.safetensors").write_bytes(b"stray")
    flip_a_bit(folder / SHARDS[2])
    downloads = rig.open()
    wait_until(downloads, downloads.repair(PEAR).job_id, "done")
    assert files_of(folder) == {**wanted(files), "my notes.md": b"mine"}
    assert set(rig.asked_for()) == {SHARDS[2]} and read_metadata(folder) is not None


def test_update_fetches_what_is_new_and_drops_what_is_gone(rig: Rig) -> None:
    old = install(rig)
    new = {**old, SHARDS[1]: old[SHARDS[1]][::-1], "chat_template.jinja": b"{{ messages }}"}
    del new["LICENSE"]
    revision = rig.hub.add_model(PEAR, new)
    (rig.models_dir / PEAR / "my notes.md").write_text("mine")
    downloads = rig.open()
    assert downloads.newest_revisions([PEAR, "nobody/nothing", "../.."]) == {PEAR: revision}
    rig.hub.clear()
    wait_until(downloads, downloads.update(PEAR).job_id, "done")
    assert files_of(rig.models_dir / PEAR) == {**wanted(new), "my notes.md": b"mine"}
    assert set(rig.asked_for()) == {SHARDS[1]}
    metadata = read_metadata(rig.models_dir / PEAR)
    assert metadata is not None and metadata.revision == revision
    assert downloads.newest_revisions([PEAR]) == {} and rig.staging == []


def test_an_update_keeps_how_often_the_model_was_used(rig: Rig) -> None:
    install(rig)
    rig.library.record_use(PEAR, 1000.0)
    rig.library.close()
    rig.hub.add_model(PEAR, {**rig.add(seed=2, shards=3), "NOTICE": b"new"})
    downloads = rig.open()
    wait_until(downloads, downloads.update(PEAR).job_id, "done")
    metadata = read_metadata(rig.models_dir / PEAR)
    assert metadata is not None
    assert (metadata.usage.times_used, metadata.usage.last_used_at) == (1, 1000.0)


def test_the_newest_needs_no_update(rig: Rig) -> None:
    install(rig)
    downloads = rig.open()
    assert downloads.update(PEAR).state == "done" and rig.asked_for() == []


def test_a_model_renamed_on_the_hub_stays_where_it_is(rig: Rig) -> None:
    files = install(rig)
    rig.hub.rename(PEAR, "plum/Pear")
    rig.hub.add_model("plum/Pear", {**files, "NOTICE": b"moved"})
    downloads = rig.open()
    assert set(downloads.newest_revisions([PEAR])) == {PEAR}
    done = wait_until(downloads, downloads.update(PEAR).job_id, "done", "failed")
    assert done.error == "" and done.repo_id == PEAR
    assert (rig.models_dir / PEAR / "NOTICE").read_bytes() == b"moved"
    assert not (rig.models_dir / "plum").exists()


@pytest.mark.parametrize("failing", ["/api/models", ""])
def test_asking_for_newer_versions_survives_a_hub_in_trouble(rig: Rig, failing: str) -> None:
    install(rig)
    rig.hub.fault(failing, times=None, status=503)
    assert rig.open().newest_revisions([PEAR]) == {}
    assert rig.open(HF_HUB_OFFLINE="1").newest_revisions([PEAR]) == {}


def test_what_is_not_installed_cannot_be_repaired(rig: Rig) -> None:
    downloads = rig.open()
    for act in (downloads.repair, downloads.update):
        with pytest.raises(NotInstalled):
            act(PEAR)


def test_a_download_of_a_model_with_an_older_version_here_updates_it(rig: Rig) -> None:
    old = install(rig)
    rig.hub.add_model(PEAR, {**old, "NOTICE": b"new"})
    downloads = rig.open()
    plan = downloads.plan(PEAR)
    assert plan.fetch_bytes == 3 and plan.total_bytes > 3
    wait_until(downloads, downloads.start(PEAR).job_id, "done")
    assert "NOTICE" in files_of(rig.models_dir / PEAR) and rig.asked_for() == []


def test_files_in_the_hugging_face_cache_are_taken_from_there(rig: Rig) -> None:
    files = rig.add(shards=3)
    blobs = rig.settings.hf_cache_dir / "models--other--Pear" / "blobs"
    blobs.mkdir(parents=True)
    names = [hashlib.sha256(files[shard]).hexdigest() for shard in SHARDS]
    (blobs / names[0]).write_bytes(files[SHARDS[0]])
    (blobs / names[1]).write_bytes(b"?" * len(files[SHARDS[1]]))  # damaged
    before = files_of(rig.settings.hf_cache_dir)
    downloads = rig.open()
    assert downloads.plan(PEAR).fetch_bytes < downloads.plan(PEAR).total_bytes
    wait_until(downloads, downloads.start(PEAR).job_id, "done")
    assert files_of(rig.models_dir / PEAR) == wanted(files)
    assert set(rig.asked_for()) == {SHARDS[1], SHARDS[2]}
    assert files_of(rig.settings.hf_cache_dir) == before
