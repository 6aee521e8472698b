"""Discover: ranking on the server, the cache, the listing, and the page in a real browser."""

import os
import random
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from huggingface_hub import HfApi
from playwright.sync_api import Page, sync_playwright

from engine.discover import Discover
from engine.hub import HubClient
from engine.hub.score import score_model
from engine.hub.search import RankedModel, haystack_of, select
from engine.inference import supported_architectures
from engine.records import ChatReadiness, ModelSummary, SearchQuery
from engine.settings import Settings
from tests.app_process import running_app
from tests.benchmarks.figures import Figure, Target, alternate
from tests.chromium import find_chromium, launch_arguments
from tests.loopback_hub import LoopbackHub

ROUNDS = 5
RANKED_MODELS = 10_000
LISTED_MODELS = 1_000
SHOWN_MODELS = 2_000
_EXPAND = ["downloads", "likes", "trendingScore", "lastModified", "safetensors", "config", "gated",
           "library_name", "pipeline_tag", "tags", "siblings"]  # fmt: skip


def discover_figures() -> Iterable[Figure]:
    """Every figure of the group; the loopback Hub stands in for the real one."""
    yield _ranking()
    os.environ["NO_PROXY"] = "127.0.0.1"
    with LoopbackHub() as hub:
        for summary in _models(LISTED_MODELS):
            hub.add_model(
                summary.repo_id, {"config.json": b"{}", "model.safetensors": b"\0"},
                downloads=summary.downloads, config={"model_type": summary.architecture},
            )  # fmt: skip
        yield _cache(hub)
        yield _listing(hub)
    yield _repaint()


def _models(count: int) -> list[ModelSummary]:
    draw = random.Random(7)
    return [
        ModelSummary(
            f"org-{n % 40}/Model-{n}-4bit", model_type="text-generation",
            architecture=draw.choice(["llama", "qwen3", "gemma3", "mistral"]),
            quantization=draw.choice(["4-bit", "8-bit", "bf16"]),
            parameters=draw.randrange(10**8, 10**11), weights_bytes=draw.randrange(10**8, 10**11),
            downloads=draw.randrange(10**6), likes=draw.randrange(1000),
            updated_at=1.7e9 + draw.random() * 5e7, tags=("mlx", "chat"),
        )
        for n in range(count)
    ]  # fmt: skip


def _timed(work: Callable[[], object]) -> Callable[[], float]:
    def measure() -> float:
        started_at = time.perf_counter()
        work()
        return time.perf_counter() - started_at

    return measure


def _ranking() -> Figure:
    """What a search does once the list is there: every filter's test, the order, and the cut."""
    ready = ChatReadiness(True)
    models = [
        RankedModel(m, "fits", m.weights_bytes, ready, score_model(m, "fits", ready, 1.76e9),
                    haystack_of(m))
        for m in _models(RANKED_MODELS)
    ]  # fmt: skip
    query = SearchQuery(text="model", quantization="4-bit", fits_only=True, chat_ready_only=True)
    run = _timed(lambda: select(models, query))
    pairs = tuple((run() * 1000, 50.0) for _ in range(ROUNDS))
    return Figure("filter and rank 10,000 models / 50 ms", "ms", pairs, Target(1.0, is_upper=True),
                  best=min)  # fmt: skip


def _discover(hub: LoopbackHub, folder: str) -> Discover:
    settings = Settings.from_environment({"HOME": folder}, data_dir=Path(folder))
    client = HubClient({"HF_ENDPOINT": hub.url, "HOME": folder})
    return Discover(settings, client, supported_architectures, lambda: 16 * 10**9)


def _cache(hub: LoopbackHub) -> Figure:
    pairs = []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            discover = _discover(hub, folder)
            search = _timed(lambda found=discover: found.search(SearchQuery()))  # type: ignore[misc]
            first_s = search()
            pairs.append((search(), first_s))
            discover.close()
    return Figure("a search again, from cache / its first", "s", tuple(pairs), Target(20),
                  best=min, is_speedup=True)  # fmt: skip


def _listing(hub: LoopbackHub) -> Figure:
    client = HubClient({"HF_ENDPOINT": hub.url, "HOME": "/nowhere"})
    api = HfApi(endpoint=hub.url, token=False)
    pairs = alternate(
        _timed(lambda: client.list_models(limit=LISTED_MODELS)),
        _timed(lambda: list(api.list_models(limit=LISTED_MODELS, expand=_EXPAND))),  # type: ignore[arg-type]
        ROUNDS,
    )
    client.close()
    return Figure("list 1,000 models / HfApi.list_models", "s", pairs, Target(1.0, is_upper=True),
                  best=min)  # fmt: skip


def _repaint() -> Figure:
    """From a filter's change to other rows, in a browser, with 2,000 results in the catalogue.

    Every other model will not chat, and the rows are sorted by downloads: others come first once
    the filter is moved.
    """
    with tempfile.TemporaryDirectory() as folder, LoopbackHub(page_size=100) as hub:
        for number, summary in enumerate(_models(SHOWN_MODELS)):
            template = {"tokenizer_config": {"chat_template": "x"}} if number % 2 else {}
            hub.add_model(
                summary.repo_id, {"config.json": b"{}", "model.safetensors": b"\0"},
                downloads=summary.downloads, safetensors={"parameters": {"BF16": 10**9}},
                config={"model_type": summary.architecture, **template},
            )  # fmt: skip
        environment = {"HF_ENDPOINT": hub.url, "NO_PROXY": "127.0.0.1"}
        with running_app(Path(folder), environment=environment) as app, sync_playwright() as play:
            browser = play.chromium.launch(executable_path=find_chromium(), args=launch_arguments())
            page = browser.new_page()
            page.goto(app.url)
            page.get_by_role("tab", name="Discover").click()
            page.wait_for_selector("#source >> text=Hub")
            page.locator("#sort input").click()
            page.get_by_role("option", name="downloads").click()
            pairs = tuple((_toggle_ms(page), 400.0) for _ in range(2 * ROUNDS))
            browser.close()
    return Figure("a filter's change to new rows / 400 ms", "ms", pairs,
                  Target(1.0, is_upper=True), best=min)  # fmt: skip


_TOGGLE = """() => new Promise(done => {
  const names = () => [...document.querySelectorAll('#models [role=gridcell] .m-name')]
    .map(name => name.textContent).join();
  const before = names();
  const start = performance.now();
  new MutationObserver((_, observer) => {
    if (names() === before) return;
    observer.disconnect();
    requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - start)));
  }).observe(document.querySelector('#models'),
             {childList: true, subtree: true, characterData: true});
  document.querySelector('#chat-only input').click();
})"""


def _toggle_ms(page: Page) -> float:
    page.wait_for_timeout(1000)
    return float(page.evaluate(_TOGGLE))
