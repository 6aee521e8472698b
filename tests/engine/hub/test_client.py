"""What the client asks the Hub, and what it hands on."""

import hashlib
import json
from collections.abc import Iterator

import pytest

from engine.errors import Cancelled, Gated, HubBroken, HubError, RepoNotFound
from engine.hub.client import FACTS, HubClient
from engine.hub.facts import summary_from_hub
from engine.patience import Patience
from tests.loopback_hub import LoopbackHub, git_oid

WEIGHTS = b"\x08" + b"\0" * 5000
FILES = {"config.json": b'{"model_type": "llama"}', "model.safetensors": WEIGHTS,
         "README.md": b"# Hi \xe2\x9c\x93 there"}  # fmt: skip
BAD_NAMES = (
    "", "/", "a/", "/a", "a/b/c", "../../etc", "a/..", "..", ".", "./a", "a/.b", "a--b/c", "a..b/c",
    "x" * 97, "x" * 200, "a" * 50 + "/" + "b" * 50, "a b/c", "a/b\n", "a/b\0", "a\\b", "a/b?c=d",
    "a/b#c", "a%2Fb", "é/a", "a/b.git", "-a/b", "a/b-", "http://x/y", "a@b/c", "<b>/x",
)  # fmt: skip


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackHub]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with LoopbackHub(tokens=("hf_known",)) as server:
        yield server


@pytest.fixture
def client(hub: LoopbackHub) -> Iterator[HubClient]:
    client = HubClient({"HF_ENDPOINT": hub.url, "HOME": "/nowhere"}, patience=Patience(base_s=0.0))
    yield client
    client.close()


def test_a_listing_has_the_hubs_own_facts(hub: LoopbackHub, client: HubClient) -> None:
    hub.add_model("mlx-community/a", FILES, downloads=7, config={"model_type": "llama"})
    [entry] = client.list_models()
    assert entry["id"] == "mlx-community/a"
    assert (entry["downloads"], entry["config"]) == (7, {"model_type": "llama"})
    assert [file["rfilename"] for file in entry["siblings"]] == list(FILES)
    assert set(hub.requests[0].query["expand"]) == set(FACTS)


def test_a_listing_can_be_turned_into_summaries(hub: LoopbackHub, client: HubClient) -> None:
    hub.add_model("mlx-community/a", FILES, likes=3, gated="auto")
    summary = summary_from_hub(client.list_models()[0])
    assert summary is not None
    assert (summary.repo_id, summary.likes, summary.is_gated) == ("mlx-community/a", 3, True)


def test_a_listing_is_narrowed_by_the_hub(hub: LoopbackHub, client: HubClient) -> None:
    hub.add_model("mlx-community/Llama-a", downloads=1)
    hub.add_model("mlx-community/llama-b", downloads=2)
    hub.add_model("mlx-community/qwen", downloads=3)
    hub.add_model("other/llama", downloads=4)
    hub.add_model("mlx-community/llama-image", pipeline_tag="image-to-text")
    hub.add_model("mlx-community/llama-gguf", tags=["gguf"], library_name="gguf")
    found = client.list_models(
        search="llama", author="mlx-community", task="text-generation", tags=("mlx", "safetensors"),
        sort="downloads",
    )  # fmt: skip
    assert [e["id"] for e in found] == ["mlx-community/llama-b", "mlx-community/Llama-a"]


def test_a_listing_stops_at_its_limit(hub: LoopbackHub, client: HubClient) -> None:
    for number in range(250):
        hub.add_model(f"o/m{number:03}", downloads=1000 - number)
    found = client.list_models(sort="downloads", limit=150)
    assert [e["id"] for e in found] == [f"o/m{number:03}" for number in range(150)]
    assert len(hub.requests) == 2


def test_a_listing_ends_with_the_last_page(hub: LoopbackHub, client: HubClient) -> None:
    for number in range(201):
        hub.add_model(f"o/m{number:03}")
    assert len({e["id"] for e in client.list_models(limit=9999)}) == 201
    assert len(hub.requests) == 3


def test_pages_come_over_one_connection(hub: LoopbackHub, client: HubClient) -> None:
    for number in range(5):
        hub.add_model(f"o/m{number}")
    hub.page_size = 1
    assert len(client.list_models()) == 5
    assert len({request.port for request in hub.requests}) == 1


@pytest.mark.parametrize("limit", (0, -1))
def test_a_listing_of_nothing_asks_nothing(hub: LoopbackHub, client: HubClient, limit: int) -> None:
    assert client.list_models(limit=limit) == []
    assert hub.requests == []


def test_a_search_text_is_sent_without_what_no_url_can_carry(
    hub: LoopbackHub, client: HubClient
) -> None:
    client.list_models(search="\ud800 a&b=\0\n✓ " + "x" * 9000)
    [text] = hub.requests[0].query["search"]
    assert text.startswith("a&b=✓ x") and len(text) <= 200


def test_a_hub_whose_pages_go_in_circles_ends_the_listing(
    hub: LoopbackHub, client: HubClient
) -> None:
    hub.add_model("o/m")
    hub.fault("/api/models", times=None, headers={"link": '</api/models?x=1>; rel="next"'})
    assert [e["id"] for e in client.list_models()] == ["o/m"]


def test_the_next_page_is_never_fetched_from_another_server(
    hub: LoopbackHub, client: HubClient
) -> None:
    hub.add_model("o/m")
    hub.fault("/api/models", headers={"link": f'<{hub.cdn_url}/steal?cursor=MQ==>; rel="next"'})
    client.list_models()
    assert [(r.path, r.is_cdn) for r in hub.requests] == [("/api/models", False)] * 2


def test_entries_without_a_usable_name_are_left_out(hub: LoopbackHub, client: HubClient) -> None:
    page = [{"id": "o/m"}, {"id": "../../etc"}, {"id": 7}, {}, None, "text", {"id": "a/b/c"}]
    hub.fault("/api/models", status=200, body=json.dumps(page).encode())
    assert client.list_models() == [{"id": "o/m"}]


def test_a_listing_can_be_cancelled_between_pages(hub: LoopbackHub, client: HubClient) -> None:
    hub.page_size = 1
    for number in range(5):
        hub.add_model(f"o/m{number}")
    with pytest.raises(Cancelled):
        client.list_models(cancel=lambda: len(hub.requests) >= 2)
    assert len(hub.requests) == 2


def test_a_repo_has_its_facts_its_commit_and_its_files(hub: LoopbackHub, client: HubClient) -> None:
    commit = hub.add_model("o/m", FILES, downloads=9)
    facts, found_commit, files = client.repo("o/m")
    assert (facts["id"], facts["downloads"], found_commit) == ("o/m", 9, commit)
    by_path = {file.path: file for file in files}
    assert by_path.keys() == FILES.keys()
    weights, config = by_path["model.safetensors"], by_path["config.json"]
    assert weights.size_bytes == len(WEIGHTS)
    assert weights.sha256 == hashlib.sha256(WEIGHTS).hexdigest()
    assert (config.git_oid, config.sha256) == (git_oid(FILES["config.json"]), None)


def test_the_files_are_those_of_the_commit(hub: LoopbackHub, client: HubClient) -> None:
    old = hub.add_model("o/m", {"a.json": b"1"})
    new = hub.add_model("o/m", {"b.json": b"2"})
    assert [client.repo("o/m", rev)[1] for rev in (None, "main", old)] == [new, new, old]
    assert [file.path for file in client.repo("o/m", old)[2]] == ["a.json"]
    assert hub.requests[-1].path == f"/api/models/o/m/tree/{old}"


def test_files_are_found_on_every_page(hub: LoopbackHub, client: HubClient) -> None:
    hub.page_size = 3
    hub.add_model("o/m", {f"folder/{n}.json": b"x" * n for n in range(8)})
    assert [file.size_bytes for file in client.repo("o/m")[2]] == list(range(8))


def test_a_repo_without_files_is_a_repo(hub: LoopbackHub, client: HubClient) -> None:
    hub.add_model("o/m")
    assert client.repo("o/m")[2] == ()


def test_a_repo_with_one_part_in_its_name_is_found(hub: LoopbackHub, client: HubClient) -> None:
    hub.add_model("gpt2", FILES)
    assert client.repo("gpt2")[0]["id"] == "gpt2"


def test_a_renamed_repo_is_found_under_its_new_name(hub: LoopbackHub, client: HubClient) -> None:
    hub.add_model("o/old", FILES)
    hub.rename("o/old", "o/new")
    facts, _, files = client.repo("o/old")
    assert facts["id"] == "o/new" and len(files) == 3
    assert hub.requests[-1].path.startswith("/api/models/o/new/tree/")


def test_a_tree_that_never_ends_is_refused(hub: LoopbackHub, client: HubClient) -> None:
    hub.add_model("o/m", FILES)
    hub.fault("/api/models/o/m/tree", times=None, headers={"link": '</x?y=1>; rel="next"'})
    with pytest.raises(HubBroken, match="too many files"):
        client.repo("o/m")


def test_a_small_file_is_read(hub: LoopbackHub, client: HubClient) -> None:
    commit = hub.add_model("o/m", FILES)
    assert client.read_text("o/m", commit, "README.md", 1000) == "# Hi ✓ there"
    assert client.read_text("o/m", "main", "config.json", len(FILES["config.json"])) == (
        FILES["config.json"].decode()
    )
    assert hub.requests[0].headers["accept-encoding"] == "identity"


def test_a_file_with_a_strange_name_is_read(hub: LoopbackHub, client: HubClient) -> None:
    hub.add_model("o/m", {"a folder/é #1%?.txt": b"found"})
    assert client.read_text("o/m", "main", "a folder/é #1%?.txt", 100) == "found"


def test_a_long_file_is_cut_where_that_is_wanted(hub: LoopbackHub, client: HubClient) -> None:
    hub.add_model("o/m", {"README.md": "✓✓✓".encode() * 100_000})
    assert client.read_text("o/m", "main", "README.md", 10, truncate=True) == "✓✓✓"


def test_a_long_file_is_refused_where_it_must_be_whole(hub: LoopbackHub, client: HubClient) -> None:
    hub.add_model("o/m", {"config.json": b"x" * 11})
    with pytest.raises(HubBroken, match="more than"):
        client.read_text("o/m", "main", "config.json", 10)


def test_bytes_that_are_no_text_are_shown_as_such(hub: LoopbackHub, client: HubClient) -> None:
    hub.add_model("o/m", {"README.md": b"\xef\xbb\xbfa\xff\xfeb\xc3"})
    assert client.read_text("o/m", "main", "README.md", 100) == "a��b�"


@pytest.mark.parametrize("name", BAD_NAMES)
def test_what_is_no_name_is_never_sent(hub: LoopbackHub, client: HubClient, name: str) -> None:
    for ask in (lambda: client.repo(name), lambda: client.read_text(name, "main", "a", 9)):
        with pytest.raises(RepoNotFound, match="is not a model name") as raised:
            ask()
        assert raised.value.hint and raised.value.message.isprintable()
        assert len(raised.value.message) < 100
    assert hub.requests == []


@pytest.mark.parametrize("path", ("", "../a", "a/../b", "/etc/passwd", "a\\b", "a\nb", "a//b", "."))
def test_a_path_that_leads_elsewhere_is_never_sent(
    hub: LoopbackHub, client: HubClient, path: str
) -> None:
    hub.add_model("o/m", FILES)
    with pytest.raises(RepoNotFound, match="has no file"):
        client.read_text("o/m", "main", path, 9)
    assert hub.requests == []


@pytest.mark.parametrize("revision", ("", "..", "a/../b", "a\nb", "-x", "x" * 300))
def test_a_revision_that_cannot_be_is_never_sent(
    hub: LoopbackHub, client: HubClient, revision: str
) -> None:
    with pytest.raises(RepoNotFound, match="no such version"):
        client.read_text("o/m", revision, "a", 9)
    assert hub.requests == []


def test_a_branch_with_a_slash_is_one_part_of_the_path(hub: LoopbackHub, client: HubClient) -> None:
    hub.add_model("o/m", FILES)
    with pytest.raises(RepoNotFound, match="no such version"):
        client.repo("o/m", "refs/pr/1")
    assert hub.requests[0].path == "/api/models/o/m/revision/refs%2Fpr%2F1"


def test_a_missing_repo_may_be_private(hub: LoopbackHub, client: HubClient) -> None:
    hub.add_model("o/secret", FILES, private=True)
    for name in ("o/missing", "o/secret"):
        with pytest.raises(RepoNotFound, match=f"no model {name}, or it is private") as raised:
            client.repo(name)
        assert "hf auth login" in raised.value.hint


def test_a_missing_file_is_named(hub: LoopbackHub, client: HubClient) -> None:
    hub.add_model("o/m", FILES)
    with pytest.raises(RepoNotFound, match="o/m has no file “nothing.json”"):
        client.read_text("o/m", "main", "nothing.json", 9)


def test_a_gated_repo_is_listed_and_says_how_to_get_in(hub: LoopbackHub, client: HubClient) -> None:
    hub.add_model("o/m", FILES, gated="manual")
    assert len(client.repo("o/m")[2]) == 3
    with pytest.raises(Gated, match="o/m asks for permission") as raised:
        client.read_text("o/m", "main", "config.json", 100)
    for part in (f"{hub.url}/o/m", "hf auth login", "HF_TOKEN"):
        assert part in raised.value.hint


def test_a_disabled_repo_says_so(hub: LoopbackHub, client: HubClient) -> None:
    hub.add_model("o/m", FILES, disabled=True)
    assert client.repo("o/m")[0]["disabled"] is True
    with pytest.raises(RepoNotFound, match="disabled"):
        client.read_text("o/m", "main", "config.json", 100)


def test_a_closed_client_asks_nothing(hub: LoopbackHub, client: HubClient) -> None:
    client.list_models()
    client.close()
    with pytest.raises(HubError, match="closed"):
        client.list_models()
    assert len(hub.requests) == 1
