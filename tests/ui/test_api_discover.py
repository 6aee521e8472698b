"""/search and /inspect, with a loopback Hub and with no network."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from tests.app_process import running_app
from tests.loopback_hub import LoopbackHub
from tests.models import write_model

ROW = {
    "repo_id", "score", "score_parts", "model_type", "size_class", "parameters", "quantization",
    "bits", "architecture", "downloads", "likes", "trending", "updated_at", "weights_bytes",
    "memory_bytes", "fit", "chat_ready", "blockers", "gated", "installed",
}  # fmt: skip
DETAIL = ROW | {"revision", "files", "download_bytes", "memory", "license", "readme"}
PEAR = "pear/Pear-4bit"


def model_files(folder: Path) -> dict[str, bytes]:
    """The files of a tiny model, as a Hub would hold them."""
    write_model(folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackHub]:
    files = model_files(tmp_path_factory.mktemp("hub") / "pear")
    with LoopbackHub() as server:
        facts = {
            "config": {
                **json.loads(files["config.json"]),
                "tokenizer_config": {"chat_template": "{{ messages }}"},
            }
        }
        server.add_model(PEAR, {**files, "README.md": b"# Pear"}, downloads=9, likes=2, **facts)
        server.add_model("plum/Plum", {"model.gguf": b"\0"}, downloads=90, gated="auto")
        yield server


@pytest.fixture(scope="module")
def client(hub: LoopbackHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("app")
    with running_app(folder, environment={"HF_ENDPOINT": hub.url, "NO_PROXY": "127.0.0.1"}) as app:
        client = Client(app.url, verbose=False)
        yield client
        client.close()


@pytest.fixture(scope="module")
def offline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with running_app(tmp_path_factory.mktemp("offline")) as app:
        client = Client(app.url, verbose=False)
        yield client
        client.close()


def names(client: Client, **query: Any) -> list[str]:
    return [m["repo_id"] for m in client.predict(query, api_name="/search")["models"]]


def test_search_returns_models_with_score_fit_and_readiness(client: Client) -> None:
    found = client.predict({}, api_name="/search")
    assert found["source"] in ("hub", "cache") and found["fetched_at"] > 0
    models = {model["repo_id"]: model for model in found["models"]}
    assert set(models[PEAR]) == ROW
    assert models[PEAR]["chat_ready"] and models[PEAR]["blockers"] == []
    assert sum(models[PEAR]["score_parts"].values()) == pytest.approx(models[PEAR]["score"])
    plum = models["plum/Plum"]
    assert plum["gated"] and not plum["chat_ready"] and len(plum["blockers"]) >= 2


def test_search_filters_and_sorts(client: Client) -> None:
    assert names(client, chat_ready_only=True) == [PEAR]
    assert names(client, sort="downloads") == ["plum/Plum", PEAR]
    assert names(client, min_likes=1) == [PEAR]
    assert names(client, limit=1, sort="downloads") == ["plum/Plum"]
    assert names(client, text="pear") == [PEAR]


def test_inspect_returns_the_record_and_more(client: Client) -> None:
    found = client.predict(PEAR, api_name="/inspect")
    assert set(found) == DETAIL
    assert found["readme"] == "# Pear" and len(found["revision"]) == 40
    assert {"path", "size_bytes"} == set(found["files"][0])
    assert found["download_bytes"] >= found["weights_bytes"] > 0
    assert all(int(context) > 0 and total > 0 for context, total in found["memory"].items())


@pytest.mark.parametrize("repo_id", ["../../etc", "a/b/c", "x" * 200, "a\nb", "nobody/nothing"])
def test_inspect_names_what_is_no_model(client: Client, repo_id: str) -> None:
    with pytest.raises(AppError):
        client.predict(repo_id, api_name="/inspect")


@pytest.mark.parametrize(
    ("query", "field"),
    [({"sort": "luck"}, "sort"), ({"min_likes": "many"}, "min_likes"), ({"tags": "x"}, "tags"),
     ({"fits_only": 1}, "fits_only"), ({"limit": -1}, "limit"), ({"colour": "red"}, "colour")],
)  # fmt: skip
def test_a_wrong_filter_is_named(client: Client, query: dict[str, Any], field: str) -> None:
    with pytest.raises(AppError, match=field):
        client.predict(query, api_name="/search")


def test_with_no_network_the_bundled_list_is_searched_and_inspected(offline: Client) -> None:
    query = {"fits_only": True, "chat_ready_only": True}
    found = offline.predict(query, api_name="/search")
    assert found["source"] == "bundled" and found["notice"] and len(found["models"]) > 10
    inspected = offline.predict(found["models"][0]["repo_id"], api_name="/inspect")
    assert set(inspected) == DETAIL and inspected["files"] == []
