"""/download to /delete, called as programs call them, with a loopback Hub."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from tests.app_process import running_app
from tests.loopback_hub import LoopbackHub
from tests.models import write_model

JOB = {
    "job_id", "repo_id", "state", "done_bytes", "total_bytes", "bytes_per_s", "eta_s", "error",
}  # fmt: skip
PEAR, SLOW = "pear/Pear", "slow/Slow"
WAIT_S = 30


@dataclass
class Place:
    """A running app: how to ask it, where its models are, and its Hub."""

    client: Client
    models: Path
    hub: LoopbackHub

    def ask(self, name: str, *arguments: str) -> Any:
        return self.client.predict(*arguments, api_name=f"/{name}")

    def job(self, job_id: str) -> dict[str, Any]:
        return next(job for job in self.ask("downloads") if job["job_id"] == job_id)

    def wait(self, job_id: str, state: str) -> dict[str, Any]:
        give_up_at = time.monotonic() + WAIT_S
        while (job := self.job(job_id))["state"] != state:
            assert job["state"] != "failed" and time.monotonic() < give_up_at, job
            time.sleep(0.05)
        return job


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("app")
    files = write_model(tmp_path_factory.mktemp("hub") / "pear", ends=True)
    bodies = {path.name: path.read_bytes() for path in files.iterdir()}
    with LoopbackHub() as hub:
        hub.add_model(PEAR, bodies)
        hub.add_model(SLOW, bodies)
        hub.fault(f"/{SLOW}", times=None, drip_s=0.2, drip_bytes=1000)
        environment = {"HF_ENDPOINT": hub.url, "NO_PROXY": "127.0.0.1"}
        with running_app(folder, environment=environment) as app:
            client = Client(app.url, verbose=False)
            yield Place(client, folder / "models", hub)
            client.close()


def test_a_model_is_downloaded_loaded_asked_and_deleted(place: Place) -> None:
    job_id = place.ask("download", PEAR)
    job = place.wait(job_id, "done")
    assert set(job) == JOB and job["repo_id"] == PEAR
    assert job["done_bytes"] == job["total_bytes"] > 0 and job["error"] == ""
    installed = {m["repo_id"]: m for m in place.ask("library")}[PEAR]
    assert (installed["source"], installed["state"]) == ("pomona", "ready")
    message = [{"role": "user", "content": "Hello"}]
    assert place.client.predict(message, PEAR, {}, api_name="/chat")["finish_reason"]
    place.ask("unload", PEAR)
    plan = place.ask("plan_delete", PEAR)
    assert plan["freed_bytes"] > 0
    assert str(place.models / PEAR / "model.safetensors") in plan["paths"]
    assert Path(plan["paths"][0]).exists()
    assert place.ask("delete", PEAR) == plan
    assert not (place.models / PEAR).exists()
    assert PEAR not in {m["repo_id"] for m in place.ask("library")}
    assert place.ask("delete", PEAR) == {"freed_bytes": 0, "paths": []}


def test_a_download_is_paused_resumed_and_cancelled(place: Place) -> None:
    job_id = place.ask("download", SLOW)
    assert place.ask("download", SLOW) == job_id
    place.wait(job_id, "running")
    paused = place.ask("pause_download", job_id)
    assert (set(paused), paused["state"], paused["bytes_per_s"]) == (JOB, "paused", 0)
    assert place.ask("pause_download", job_id)["state"] == "paused"
    assert place.ask("resume_download", job_id)["state"] in ("queued", "running")
    place.wait(job_id, "running")
    assert place.ask("cancel_download", job_id)["state"] == "cancelled"
    assert SLOW not in {m["repo_id"] for m in place.ask("library")}
    assert not (place.models / SLOW).exists()


@pytest.mark.parametrize("name", ["pause_download", "resume_download", "cancel_download"])
@pytest.mark.parametrize("job_id", ["", "nothing", "../../etc", "x" * 300, "a\nb"])
def test_an_unknown_job_is_refused(place: Place, name: str, job_id: str) -> None:
    with pytest.raises(AppError, match="download"):
        place.ask(name, job_id)


@pytest.mark.parametrize("repo_id", ["../../etc", "a/b/c", "x" * 200, "a\nb", ""])
@pytest.mark.parametrize("name", ["download", "plan_delete", "delete"])
def test_what_cannot_be_a_name_is_refused(place: Place, name: str, repo_id: str) -> None:
    with pytest.raises(AppError):
        place.ask(name, repo_id)


def test_a_model_that_is_nowhere_is_not_downloaded_and_nothing_is_deleted(place: Place) -> None:
    with pytest.raises(AppError, match="nobody/nothing"):
        place.ask("download", "nobody/nothing")
    assert place.ask("delete", "nobody/nothing") == {"freed_bytes": 0, "paths": []}


def test_the_guide_stays(place: Place) -> None:
    with pytest.raises(AppError):
        place.ask("delete", "pomona/guide")
    assert "pomona/guide" in {m["repo_id"] for m in place.ask("library")}


def test_a_loaded_model_is_not_deleted(place: Place) -> None:
    write_model(place.models / "tiny" / "busy")
    place.ask("load", "tiny/busy")
    with pytest.raises(AppError, match="memory|loaded|unload"):
        place.ask("delete", "tiny/busy")
    assert (place.models / "tiny" / "busy" / "config.json").exists()
    place.ask("unload", "tiny/busy")
    assert place.ask("delete", "tiny/busy")["freed_bytes"] > 0
