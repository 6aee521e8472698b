"""The Gradio API, called as programs call it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError
from openai import OpenAI

from engine.api_key import ApiKey
from tests.app_process import RunningApp, running_app
from tests.models import write_model

GUIDE = "pomona/guide"
TINY = "tiny/llama"
STATS = {
    "prompt_tokens", "reused_tokens", "output_tokens", "time_to_first_token_s", "prefill_per_s",
    "decode_per_s", "peak_memory_bytes", "model_peak_bytes", "left_out", "draft_gain",
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("api")


@pytest.fixture(scope="module")
def app(folder: Path) -> Iterator[RunningApp]:
    write_model(folder / "models" / TINY, context=256)
    damaged = write_model(folder / "models" / "tiny" / "damaged", shards=2)
    (damaged / "model-00002-of-00002.safetensors").unlink()
    environment = {"HF_HUB_OFFLINE": "1", "GRADIO_MCP_SERVER": "True"}
    with running_app(folder, environment=environment) as app:
        yield app


@pytest.fixture(scope="module")
def client(app: RunningApp) -> Iterator[Client]:
    client = Client(app.url, verbose=False)
    yield client
    client.close()


def ask(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def test_only_the_documented_endpoints_are_published(client: Client) -> None:
    named = client.view_api(return_format="dict")["named_endpoints"]
    assert set(named) == {
        "/machine", "/library", "/load", "/unload", "/chat", "/search", "/inspect", "/download",
        "/downloads", "/pause_download", "/resume_download", "/cancel_download", "/plan_delete",
        "/delete",
    }  # fmt: skip


def test_machine_says_what_this_computer_offers(client: Client) -> None:
    machine = client.predict(api_name="/machine")
    assert machine["backend"] in ("cpu", "metal", "cuda")
    assert 0 < machine["memory_budget_bytes"] <= machine["memory_total_bytes"]
    assert machine["disk_free_bytes"] > 0
    assert isinstance(machine["accelerated_blas"], bool)
    assert machine["device_name"] and {"mlx", "mlx-lm", "gradio"} <= set(machine["versions"])


def test_library_lists_the_guide_and_installed_models_with_their_state(client: Client) -> None:
    models = {model["repo_id"]: model for model in client.predict(api_name="/library")}
    guide = models[GUIDE]
    assert guide["source"] == "built-in" and guide["chat_ready"] and guide["fit"] == "fits"
    assert guide["size_bytes"] > 0 and guide["context_tokens"] >= 1024
    tiny = models[TINY]
    assert (tiny["source"], tiny["architecture"], tiny["state"]) == ("pomona", "llama", "ready")
    damaged = models["tiny/damaged"]
    assert damaged["state"] == "damaged" and not damaged["chat_ready"]
    assert "model-00002-of-00002.safetensors" in damaged["blockers"][0]


def test_load_and_unload_return_what_is_in_memory(client: Client) -> None:
    loaded = {m["repo_id"]: m for m in client.predict(TINY, api_name="/load")}
    assert loaded[TINY]["memory_bytes"] > 0
    assert next(m for m in client.predict(api_name="/library") if m["repo_id"] == TINY)["loaded"]
    assert TINY not in {m["repo_id"] for m in client.predict(TINY, api_name="/unload")}
    assert client.predict(TINY, api_name="/unload") == client.predict(TINY, api_name="/unload")


def test_chat_streams_and_its_last_value_is_whole(client: Client) -> None:
    job = client.submit(ask("What is quantisation?"), None, {}, api_name="/chat")
    final: dict[str, Any] = job.result(timeout=60)
    assert final["finish_reason"] == "stop" and final["text"]
    assert final["reasoning"] == "" and set(final["stats"]) == STATS
    texts = [value["text"] for value in job.outputs()]
    assert all(final["text"].startswith(text) for text in texts)
    assert job.outputs()[-1] == final


def test_chat_takes_a_model_and_settings(client: Client) -> None:
    params = {"temperature": 0, "max_tokens": 5}
    first = client.predict(ask("Hello"), TINY, params, api_name="/chat")
    again = client.predict(ask("Hello"), TINY, params, api_name="/chat")
    assert first["finish_reason"] == "length" and first["stats"]["output_tokens"] == 5
    assert first["text"] == again["text"]
    assert again["stats"]["reused_tokens"] > 0
    stop = {**params, "stop": [first["text"][2:4]]}
    stopped = client.predict(ask("Hello"), TINY, stop, api_name="/chat")
    assert (stopped["text"], stopped["finish_reason"]) == (first["text"][:2], "stop")
    used = {m["repo_id"]: m["last_used_at"] for m in client.predict(api_name="/library")}
    assert used[TINY] > 0


@pytest.mark.parametrize(
    ("messages", "model", "params", "words"),
    [
        ([], None, {}, "no message to answer"),
        (ask("  "), None, {}, "no message to answer"),
        ("Hello", None, {}, "list of objects"),
        ([{"role": "robot", "content": "x"}], None, {}, "needs a role"),
        ([{"role": "user", "content": 7}], None, {}, "needs a role"),
        (ask("Hello"), "nobody/nothing", {}, "no model “nobody/nothing”"),
        (ask("Hello"), "../../etc", {}, "no model"),
        (ask("Hello"), "tiny/damaged", {}, "Weights are missing"),
        (ask("Hello"), None, {"temperature": -1}, "temperature must be a number from 0 to 2"),
        (ask("Hello"), None, {"temperature": "hot"}, "temperature must be"),
        (ask("Hello"), None, {"max_tokens": 0}, "max_tokens must be a whole number"),
        (ask("Hello"), None, {"seed": -3}, "seed must be"),
        (ask("Hello"), None, {"stop": ""}, "stop must be a list"),
        (ask("Hello"), None, {"warmth": 1}, "no setting 'warmth'"),
        (ask("word " * 500), TINY, {}, "at most 256"),
    ],
)
def test_what_cannot_be_answered_is_refused_in_a_sentence(
    client: Client, messages: Any, model: str | None, params: dict[str, Any], words: str
) -> None:
    with pytest.raises(AppError, match=words):
        client.predict(messages, model, params, api_name="/chat")
    assert client.predict(ask("Hello"), None, {}, api_name="/chat")["text"]


def test_there_is_no_mcp_server_whatever_the_environment_says(app: RunningApp) -> None:
    for path in ("", "/", "/schema", "/sse", "/http"):
        assert httpx.get(f"{app.url}/gradio_api/mcp{path}").status_code == 404


def test_the_openai_client_is_answered_on_the_same_port(app: RunningApp, folder: Path) -> None:
    key = ApiKey(folder / "data" / "api_key").reveal()
    with OpenAI(base_url=f"{app.url}/v1", api_key=key, max_retries=0, timeout=60) as openai:
        assert {GUIDE, TINY} <= {model.id for model in openai.models.list()}
        messages: Any = [
            {"role": "developer", "content": "Answer briefly."},
            {"role": "user", "content": [{"type": "text", "text": "What can I do here?"}]},
        ]
        whole = openai.chat.completions.create(model=GUIDE, messages=messages, seed=1)
        assert whole.choices[0].message.content and whole.choices[0].finish_reason == "stop"
        parts = openai.chat.completions.create(model=GUIDE, messages=messages, seed=1, stream=True)
        texts = [part.choices[0].delta.content or "" for part in parts]
        assert "".join(texts) == whole.choices[0].message.content and len(texts) > 3


@pytest.mark.parametrize("name", ["/load", "/unload"])
def test_strange_names_are_no_models(client: Client, name: str) -> None:
    for repo_id in ("../../etc", "a/b/c", "x" * 400, "a\nb", ""):
        if name == "/load":
            with pytest.raises(AppError, match="no model"):
                client.predict(repo_id, api_name=name)
        else:
            assert repo_id not in {m["repo_id"] for m in client.predict(repo_id, api_name=name)}
