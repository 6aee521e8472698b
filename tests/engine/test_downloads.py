"""Downloads as a whole: the real client, a loopback Hub, real folders."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.errors import (
    DownloadError,
    Gated,
    HubBroken,
    InsufficientDisk,
    Offline,
    RepoNotFound,
)
from engine.library.metadata import read_metadata
from engine.library.queue_limits import QueueLimits
from tests.engine.downloading import PEAR, Rig, files_of, wait_for, wait_until, wanted
from tests.loopback_hub import LoopbackHub


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Rig]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with LoopbackHub(tokens=("good",)) as hub:
        rig = Rig(hub, tmp_path)
        yield rig
        rig.close()


def test_a_model_arrives_whole_with_what_is_wanted_and_nothing_else(rig: Rig) -> None:
    files = rig.add()
    downloads = rig.open()
    job = downloads.start(PEAR)
    done = wait_until(downloads, job.job_id, "done", "failed")
    assert (done.state, done.error) == ("done", "")
    assert done.done_bytes == done.total_bytes == sum(map(len, wanted(files).values()))
    assert files_of(rig.models_dir / PEAR) == wanted(files)
    metadata = read_metadata(rig.models_dir / PEAR)
    assert metadata is not None and metadata.revision == rig.hub.models[PEAR].newest
    assert {file.path for file in metadata.files} == set(wanted(files))
    assert rig.staging == []
    (model,) = [m for m in rig.library.list() if m.source == "pomona"]
    assert model.repo_id == PEAR and not model.is_damaged


def test_the_plan_tells_bytes_memory_and_readiness_and_fetches_nothing(rig: Rig) -> None:
    files = rig.add()
    downloads = rig.open(limits=QueueLimits(margin_share=0.5, margin_bytes=1000))
    plan = downloads.plan(PEAR)
    total_bytes = sum(map(len, wanted(files).values()))
    assert (plan.total_bytes, plan.fetch_bytes, plan.file_count) == (
        total_bytes, total_bytes, len(wanted(files)),
    )  # fmt: skip
    assert plan.disk_needed_bytes == total_bytes + total_bytes // 2 + 1000 and plan.has_room
    assert plan.fit == "fits" and plan.memory_bytes and plan.revision == rig.hub.models[PEAR].newest
    assert rig.asked_for() == [] and downloads.list() == ()


def test_a_model_that_does_not_fit_the_disk_is_refused_with_figures(rig: Rig) -> None:
    rig.add()
    downloads = rig.open(limits=QueueLimits(margin_bytes=10**18))
    with pytest.raises(InsufficientDisk) as refused:
        downloads.start(PEAR)
    assert refused.value.needed_bytes > 10**18 > refused.value.free_bytes > 0
    assert not downloads.plan(PEAR).has_room
    assert downloads.list() == () and rig.staging == []


def test_what_other_downloads_still_want_counts_against_the_disk(rig: Rig) -> None:
    rig.add()
    files = rig.add("plum/Plum", seed=1)
    downloads = rig.open()
    alone = downloads.plan("plum/Plum")
    rig.stall()
    downloads.start(PEAR)
    wait_for(lambda: rig.asked_for())
    beside = downloads.plan("plum/Plum")
    waiting_bytes = beside.disk_needed_bytes - alone.disk_needed_bytes
    weights_bytes = sum(len(b) for n, b in files.items() if n.endswith("tensors") and "/" not in n)
    assert weights_bytes <= waiting_bytes <= 1.02 * alone.total_bytes + 2


@pytest.mark.parametrize(
    "files, why",
    [
        ({"config.json": b"{}", "pear.gguf": b"x"}, "GGUF"),
        ({"config.json": b"{}", "pytorch_model.bin": b"x"}, "no weights"),
        ({"model.safetensors": b"x"}, "config.json"),
        ({"config.json": b"{}", "weights.safetensors": b"x"}, "no weights"),
        ({"config.json": b"{}", "model-1.safetensors": b"x", "model.safetensors.index.json":
          b'{"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}'}, "missing"),
    ],
)  # fmt: skip
def test_what_mlx_cannot_load_is_refused_in_plain_words(
    rig: Rig, files: dict[str, bytes], why: str
) -> None:
    rig.hub.add_model(PEAR, files)
    with pytest.raises(DownloadError, match=why):
        rig.open().start(PEAR)
    assert rig.asked_for() == [] and rig.staging == []


@pytest.mark.parametrize("name", ["aux.json", "con.txt", "a:b.json", "trailing .json/../x"])
def test_a_file_name_that_some_disks_refuse_is_refused_before_anything_is_queued(
    rig: Rig, name: str
) -> None:
    rig.hub.add_model(PEAR, {**rig.add(), name: b"x"})
    with pytest.raises((DownloadError, HubBroken), match="not safe"):
        rig.open().start(PEAR)
    assert rig.asked_for() == [] and rig.staging == []


@pytest.mark.parametrize("name", ["../../etc", "a/../b", "/etc/passwd", "a\0b", "", "x" * 200])
def test_strange_names_are_refused_before_any_request(rig: Rig, name: str) -> None:
    downloads = rig.open()
    with pytest.raises(RepoNotFound):
        downloads.start(name)
    with pytest.raises(Exception, match="There is no model"):
        downloads.repair(name)
    assert rig.hub.requests == [] and not downloads.is_busy(name)


@pytest.mark.parametrize("job_id", ["../../etc", "0" * 16, "", "a\0b", "x" * 5000, "..", "lock"])
def test_ids_that_were_not_given_out_do_nothing(rig: Rig, job_id: str) -> None:
    downloads = rig.open()
    for act in (downloads.pause, downloads.resume, downloads.retry, downloads.cancel,
                downloads.forget):  # fmt: skip
        with pytest.raises(DownloadError, match="no such download"):
            act(job_id)
    assert list(rig.folder.glob("*")) == [rig.models_dir]


def test_a_gated_model_says_so_before_anything_is_queued(rig: Rig) -> None:
    rig.add("pear/Pear-chat")
    rig.hub.add_model("pear/Pear-chat", gated="auto", granted=("good",))
    rig.add("pear/Pear-chat")
    downloads = rig.open()
    with pytest.raises(Gated):
        downloads.start("pear/Pear-chat")
    assert downloads.list() == () and rig.asked_for("pear/Pear-chat") == []
    let_in = rig.open(HF_TOKEN="good")
    assert let_in.plan("pear/Pear-chat").blockers == ()


def test_a_login_opens_a_gated_model_and_stays_on_the_hub(rig: Rig) -> None:
    files = rig.add()
    rig.hub.add_model(PEAR, files, gated="auto", granted=("good",))
    downloads = rig.open(HF_TOKEN="good")
    wait_until(downloads, downloads.start(PEAR).job_id, "done")
    assert files_of(rig.models_dir / PEAR) == wanted(files)
    assert {request.token for request in rig.hub.requests if request.is_cdn} == {""}


def test_what_is_not_there_and_no_network_are_told_apart(rig: Rig) -> None:
    online = rig.open()
    with pytest.raises(RepoNotFound):
        online.start("nobody/nothing")
    online.close()
    offline = rig.open(HF_HUB_OFFLINE="1")
    with pytest.raises(Offline):
        offline.start(PEAR)
    assert offline.list() == ()


def test_a_name_in_another_case_or_an_old_one_is_the_same_job(rig: Rig) -> None:
    rig.add("old/Pear")
    rig.hub.rename("old/Pear", PEAR)
    rig.hub.renames[PEAR.lower()] = PEAR
    rig.stall()
    downloads = rig.open()
    first = downloads.start("old/Pear")
    assert first.repo_id == PEAR
    assert {downloads.start(name).job_id for name in (PEAR, "old/Pear", PEAR.lower())} == {
        first.job_id
    }
    assert downloads.is_busy(PEAR) and downloads.is_busy(PEAR.upper())


def test_a_model_that_is_here_and_newest_is_done_at_once(rig: Rig) -> None:
    rig.add()
    downloads = rig.open()
    first = downloads.start(PEAR)
    wait_until(downloads, first.job_id, "done")
    asked = rig.asked_for()
    assert downloads.start(PEAR).job_id == first.job_id
    downloads.forget(first.job_id)
    again = downloads.start(PEAR)
    assert again.state == "done" and rig.asked_for() == asked
    assert [status.job_id for status in downloads.list()] == [again.job_id]


def test_a_folder_that_a_person_put_there_is_not_replaced_by_a_download(rig: Rig) -> None:
    rig.add()
    mine = rig.models_dir / PEAR
    mine.mkdir(parents=True)
    (mine / "config.json").write_text("{}")
    with pytest.raises(DownloadError, match="did not download"):
        rig.open().start(PEAR)
    assert files_of(mine) == {"config.json": b"{}"}


def test_nothing_is_written_through_a_link(rig: Rig) -> None:
    rig.add()
    elsewhere = rig.folder / "elsewhere"
    elsewhere.mkdir()
    (rig.models_dir / "pear").symlink_to(elsewhere)
    with pytest.raises(DownloadError, match="link"):
        rig.open().start(PEAR)
    assert list(elsewhere.iterdir()) == []


def test_a_models_folder_that_is_gone_is_a_sentence_and_no_crash(rig: Rig) -> None:
    rig.add()
    rig.models_dir.rmdir()
    downloads = rig.open()
    assert downloads.list() == () and "no longer there" in downloads.problem
    with pytest.raises(DownloadError, match="no longer there"):
        downloads.start(PEAR)
    rig.models_dir.mkdir()
    assert downloads.problem == ""
    wait_until(downloads, downloads.start(PEAR).job_id, "done")
