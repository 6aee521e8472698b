"""Discover as a whole: the real client, a loopback Hub, the cache on disk, the bundled list."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.discover import Discover
from engine.errors import Cancelled, RepoNotFound
from engine.hub import HubClient
from engine.inference import supported_architectures
from engine.patience import Patience
from engine.records import SearchQuery
from tests.conftest import settings_in
from tests.loopback_hub import LoopbackHub

Start = Callable[..., Discover]
BUDGET_BYTES = 12_000_000_000
CONFIG = {
    "model_type": "llama", "num_hidden_layers": 4, "hidden_size": 64, "num_attention_heads": 4,
    "num_key_value_heads": 2, "vocab_size": 300, "intermediate_size": 128,
    "max_position_embeddings": 16_384, "torch_dtype": "bfloat16",
}  # fmt: skip
FILES = {
    "config.json": json.dumps(CONFIG).encode(), "tokenizer.json": b"{}", "README.md": b"# A card",
    "model.safetensors": b"\0" * 4096, "run.py": b"print()", "pytorch_model.bin": b"\0" * 100,
}  # fmt: skip
FACTS = {
    "config": {"model_type": "llama", "tokenizer_config": {"chat_template": "{{ messages }}"}},
    "cardData": {"license": "mit"},
}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackHub]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with LoopbackHub() as server:
        server.add_model("pear/Pear-1B-4bit", FILES, downloads=50, likes=3, **FACTS)
        server.add_model("plum/Plum-7B-8bit", FILES, downloads=500, **FACTS)
        server.add_model("fig/Fig-embedding", FILES, pipeline_tag="feature-extraction", **FACTS)
        yield server


@pytest.fixture
def start(hub: LoopbackHub, tmp_path: Path) -> Iterator[Start]:
    """Starts Discover, anew each time, on one folder."""
    started: list[Discover] = []

    def start(**environ: str) -> Discover:
        client = HubClient(
            {"HF_ENDPOINT": hub.url, "HOME": "/nowhere", **environ}, patience=Patience(base_s=0.0)
        )
        settings = settings_in(tmp_path)
        started.append(Discover(settings, client, supported_architectures, lambda: BUDGET_BYTES))
        return started[-1]

    yield start
    for discover in started:
        discover.close()


def test_the_first_search_asks_the_hub_and_says_so(hub: LoopbackHub, start: Start) -> None:
    listing = start().search(SearchQuery())
    assert listing.source == "hub" and listing.notice == ""
    assert {m.summary.repo_id for m in listing.models} == {
        "pear/Pear-1B-4bit", "plum/Plum-7B-8bit", "fig/Fig-embedding",
    }  # fmt: skip


def test_moving_a_filter_asks_nobody(hub: LoopbackHub, start: Start) -> None:
    found = start()
    found.search(SearchQuery())
    asked = len(hub.requests)
    listing = found.search(SearchQuery(chat_ready_only=True, sort="downloads"))
    assert [m.summary.repo_id for m in listing.models] == ["plum/Plum-7B-8bit", "pear/Pear-1B-4bit"]
    assert listing.source == "cache" and len(hub.requests) == asked


def test_the_cache_on_disk_serves_the_next_start(hub: LoopbackHub, start: Start) -> None:
    first = start().search(SearchQuery())
    hub.clear()
    second = start().search(SearchQuery())
    assert second.source == "cache" and second.fetched_at == first.fetched_at
    assert len(second.models) == 3 and hub.requests == []


def test_a_broken_cache_is_fetched_again(start: Start, tmp_path: Path) -> None:
    start().search(SearchQuery())
    (stored,) = (tmp_path / "cache" / "listings").glob("*.json")
    stored.write_text('{"fetched_at": "x')
    assert start().search(SearchQuery()).source == "hub"


def test_without_a_network_the_bundled_list_is_shown_and_why(
    hub: LoopbackHub, start: Start
) -> None:
    listing = start(HF_HUB_OFFLINE="1").search(SearchQuery())
    assert listing.source == "bundled" and "offline" in listing.notice
    assert len(listing.models) >= 120 and hub.requests == []


@pytest.mark.parametrize("fault", [{"status": 503}, {"body": b"<html>"}, {"body": b"[[["}])
def test_when_the_hub_fails_the_last_good_results_stay(
    hub: LoopbackHub, start: Start, fault: dict[str, object]
) -> None:
    found = start()
    found.search(SearchQuery())
    hub.fault("/api/models", times=None, **({"status": 200} | fault))
    listing = found.search(SearchQuery(text="plum"))
    assert listing.notice and listing.source == "cache"
    assert [m.summary.repo_id for m in listing.models] == ["plum/Plum-7B-8bit"]
    again = found.search(SearchQuery())
    assert {m.summary.repo_id for m in again.models} >= {"plum/Plum-7B-8bit", "pear/Pear-1B-4bit"}


def test_a_wait_that_the_hub_asks_for_is_told_and_kept(hub: LoopbackHub, start: Start) -> None:
    hub.fault("/api/models", status=429, headers={"retry-after": "1"})
    told: list[tuple[float, str]] = []
    listing = start().search(SearchQuery(), on_wait=lambda *wait: told.append(wait))
    assert listing.source == "hub" and told == [(1.0, "The Hub asked us to wait 1 s.")]


def test_a_wait_of_an_hour_is_not_kept_and_nobody_asks_meanwhile(
    hub: LoopbackHub, start: Start
) -> None:
    found = start()
    hub.fault("/api/models", status=429, headers={"retry-after": "3600"})
    assert "60 min" in found.search(SearchQuery()).notice
    assert "60 min" in found.search(SearchQuery(text="plum")).notice
    assert len(hub.requests) == 1


@pytest.mark.parametrize("is_waiting_for", ["the Hub", "another search"])
def test_a_search_can_be_left(hub: LoopbackHub, start: Start, is_waiting_for: str) -> None:
    found = start()
    hub.fault("/api/models", delay_s=3.0)
    if is_waiting_for == "another search":
        first = threading.Thread(target=found.search, args=(SearchQuery(),))
        first.start()
        while not hub.requests:
            time.sleep(0.01)
    with pytest.raises(Cancelled):
        found.search(SearchQuery(), cancel=lambda: bool(hub.requests))
    assert len(hub.requests) == 1
    hub.clear()
    if is_waiting_for == "another search":
        first.join()


def test_what_the_limit_and_the_filters_leave_out_is_counted(
    hub: LoopbackHub, start: Start
) -> None:
    found = start()
    listing = found.search(SearchQuery(limit=2))
    assert len(listing.models) == 2 and listing.found == 3 and listing.hidden == 0
    nothing = found.search(SearchQuery(min_likes=1000))
    assert nothing.models == () and nothing.found == 0 and nothing.hidden == 3


@pytest.mark.parametrize("text", [b"[1]", b"<html>", b"[" * 10_000])
def test_a_config_that_is_none_is_a_reason_why_it_will_not_chat(
    hub: LoopbackHub, start: Start, text: bytes
) -> None:
    hub.add_model("pear/Odd", FILES | {"config.json": text}, **FACTS)
    inspection = start().inspect("pear/Odd")
    assert not inspection.ranked.readiness.ok and inspection.memory == ()
    assert "architecture" in inspection.ranked.readiness.blockers[0]


def test_a_glance_asks_nobody(hub: LoopbackHub, start: Start) -> None:
    found = start()
    found.search(SearchQuery())
    hub.clear()
    glance = found.glance("pear/Pear-1B-4bit")
    assert glance is not None and glance.ranked.summary.likes == 3 and hub.requests == []
    assert found.glance("nobody/nothing") is None


def test_a_failing_hub_is_left_alone_for_a_while_unless_asked_again(
    hub: LoopbackHub, start: Start
) -> None:
    found = start()
    hub.fault("/api/models", times=None, status=503)
    found.search(SearchQuery())
    asked = len(hub.requests)
    found.search(SearchQuery(text="other"))
    assert len(hub.requests) == asked
    found.retry()
    found.search(SearchQuery())
    assert len(hub.requests) > asked


def test_a_look_at_what_is_known_asks_nobody(hub: LoopbackHub, start: Start) -> None:
    listing = start().peek(SearchQuery())
    assert listing.source == "bundled" and listing.models and hub.requests == []


def test_inspecting_reads_files_card_and_exact_memory(hub: LoopbackHub, start: Start) -> None:
    inspection = start().inspect("pear/Pear-1B-4bit")
    facts = inspection.ranked.summary
    assert facts.context_tokens == 16_384
    assert facts.weights_bytes == 4096 and inspection.readme == "# A card"
    assert {file.path for file in inspection.files} == set(FILES)
    fetched = sum(len(FILES[name]) for name in FILES if name not in ("run.py", "pytorch_model.bin"))
    assert inspection.download_bytes == fetched
    contexts = [estimate.context_tokens for estimate in inspection.memory]
    assert contexts == [2048, 8192, 16_384]
    # 4 layers x 2 x 2 heads x 16 x 2 bytes for every token
    assert [estimate.kv_bytes for estimate in inspection.memory] == [n * 512 for n in contexts]


def test_inspecting_with_no_network_tells_what_is_known(hub: LoopbackHub, start: Start) -> None:
    offline = start(HF_HUB_OFFLINE="1")
    known = offline.peek(SearchQuery(chat_ready_only=True, fits_only=True)).models[0]
    inspection = offline.inspect(known.summary.repo_id)
    assert "offline" in inspection.notice and inspection.download_bytes > 0
    assert inspection.files == () and hub.requests == []


@pytest.mark.parametrize("name", ["../../etc", "a/b/c", "x" * 200, "a\nb", "", "a\0b"])
def test_strange_names_are_refused_before_any_request(
    hub: LoopbackHub, start: Start, name: str
) -> None:
    with pytest.raises(RepoNotFound):
        start().inspect(name)
    assert hub.requests == []


def test_a_missing_repo_is_named(hub: LoopbackHub, start: Start) -> None:
    with pytest.raises(RepoNotFound):
        start().inspect("nobody/nothing")


def test_picks_fit_and_are_in_the_list(hub: LoopbackHub, start: Start) -> None:
    found = start()
    listed = {m.summary.repo_id: m for m in found.peek(SearchQuery(limit=1000)).models}
    picks = found.picks()
    assert picks and all(listed[pick.repo_id].fit in ("fits", "tight") for pick in picks)
    assert all(listed[pick.repo_id].readiness.ok for pick in picks)


def test_fit_is_worked_out_again_once_the_memory_is_known(hub: LoopbackHub, tmp_path: Path) -> None:
    hub.add_model("pear/Pear-1B-4bit", FILES, safetensors={"parameters": {"BF16": 2000}}, **FACTS)
    budgets: list[int | None] = [None]
    client = HubClient({"HF_ENDPOINT": hub.url, "HOME": "/nowhere"})
    discover = Discover(settings_in(tmp_path), client, supported_architectures, lambda: budgets[0])
    assert discover.search(SearchQuery(fits_only=True)).models == ()
    budgets[0] = BUDGET_BYTES
    asked = len(hub.requests)
    found = discover.search(SearchQuery(fits_only=True)).models
    assert [model.summary.repo_id for model in found] == ["pear/Pear-1B-4bit"]
    assert len(hub.requests) == asked
    discover.close()
