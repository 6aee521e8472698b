"""The engine as a whole with its downloads: nothing is deleted under them, and they outlive it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import Engine
from engine.errors import InUse
from tests.engine.downloading import PEAR, Rig, files_of, state_of, wait_for, wait_until, wanted
from tests.loopback_hub import LoopbackHub


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Rig]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "no token"))
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    with LoopbackHub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        rig = Rig(hub, tmp_path)
        yield rig
        rig.close()


def test_a_model_is_not_deleted_while_it_is_updated(rig: Rig) -> None:
    old = rig.add()
    downloads = rig.open()
    wait_until(downloads, downloads.start(PEAR).job_id, "done")
    downloads.close()
    rig.add(seed=1)
    rig.stall()
    engine = Engine.open(rig.settings)
    try:
        job = engine.downloads.update(PEAR)
        with pytest.raises(InUse):
            engine.library.delete(PEAR)
        assert files_of(rig.models_dir / PEAR) == wanted(old)
        engine.downloads.cancel(job.job_id)
        assert engine.library.delete(PEAR).freed_bytes > 0
        assert not (rig.models_dir / PEAR).exists()
    finally:
        engine.close()


def test_the_queue_goes_on_when_the_engine_opens_again(rig: Rig) -> None:
    files = rig.add()
    rig.stall()
    engine = Engine.open(rig.settings)
    job = engine.downloads.start(PEAR)
    wait_for(lambda: rig.asked_for())
    engine.close()
    rig.hub.clear()
    again = Engine.open(rig.settings)
    try:
        wait_for(lambda: (rig.models_dir / PEAR).exists())  # nobody asks
        wait_for(lambda: state_of(again.downloads, job.job_id) == "done")
        assert files_of(rig.models_dir / PEAR) == wanted(files)
        assert again.library.find(PEAR).will_chat
    finally:
        again.close()
