"""A scan reads what has changed, finds a name where it must be, and survives places that do not."""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine import Settings
from engine.errors import NotInstalled
from engine.inference import supported_architectures
from engine.library import Library, descriptions, installed
from engine.library.descriptions import Descriptions
from engine.library.folder import FolderFacts
from engine.library.metadata import Metadata, update_usage, write_metadata
from engine.library.sources import Place, find_place, iter_places
from engine.records import RepoFile
from engine.settings import GUIDE_ID
from tests.conftest import LIMITS
from tests.models import edit_json, write_json, write_model

PLACE_NAME = "org/name"
EXTRA_TEMPLATE = "additional_chat_templates/default.jinja"
COUNT = 1_000
A_TICK_S = 0.2


def _open(settings: Settings) -> Library:
    return Library(settings, supported_architectures, lambda: 10**9)


def _hub_folder(settings: Settings, name: str) -> Path:
    repo = settings.hf_cache_dir / f"models--{name.replace('/', '--')}"
    return repo / "snapshots" / ("a" * 40)


def _copies(model: Path, folder: Path) -> Path:
    """A model folder of links to another's files, made in no time."""
    folder.mkdir(parents=True)
    for file in model.iterdir():
        os.link(file, folder / file.name)
    return folder


def test_a_thousand_models_of_all_sources_are_listed(settings: Settings, tmp_path: Path) -> None:
    settings = replace(settings, limits=replace(LIMITS, scan_models=5_000))
    model = write_model(tmp_path / "one")
    expected = {GUIDE_ID: "built-in"}
    for n in range(COUNT):
        name = f"org{n % 7}/model-{n}"
        source, folder = (
            ("pomona", settings.models_dir / name),
            ("huggingface", _hub_folder(settings, name)),
            ("lmstudio", settings.lmstudio_dirs[0] / name),
        )[n % 3]
        _copies(model, folder)
        expected[name] = source
    library = _open(settings)
    for models in (library.list(), library.list()):
        assert {m.repo_id: m.source for m in models} == expected
        assert len(models) == COUNT + 1 and all(m.will_chat and m.memory for m in models)
    assert library.names() == expected.keys()


@pytest.mark.parametrize("source", ["pomona", "huggingface", "lmstudio"])
@pytest.mark.parametrize("kept_bytes", [0, 7, 100, -1_000, -1])
def test_weights_that_another_program_left_unfinished_are_damaged_in_the_list(
    settings: Settings, source: str, kept_bytes: int
) -> None:
    folder = {
        "pomona": settings.models_dir / PLACE_NAME,
        "huggingface": _hub_folder(settings, PLACE_NAME),
        "lmstudio": settings.lmstudio_dirs[0] / PLACE_NAME,
    }[source]
    write_model(folder, shards=2)
    library = _open(settings)
    assert library.find(PLACE_NAME).will_chat
    weights = folder / "model-00002-of-00002.safetensors"
    weights.write_bytes(weights.read_bytes()[:kept_bytes])
    model = next(model for model in library.list() if model.repo_id == PLACE_NAME)
    assert model.is_damaged and weights.name in model.problem and not model.is_repairable


def test_no_more_are_listed_than_the_limit(settings: Settings) -> None:
    for n in range(6):
        write_model(settings.models_dir / "org" / str(n))
    settings = replace(settings, limits=replace(LIMITS, scan_models=4))
    assert [m.repo_id for m in _open(settings).list()] == [GUIDE_ID, "org/0", "org/1", "org/2"]


def test_a_name_leads_to_the_place_that_the_list_has(settings: Settings, tmp_path: Path) -> None:
    given = write_model(tmp_path / "given")
    settings = replace(settings, extra_models=(given,))
    for name in ("a/x", "a/y"):
        write_model(settings.models_dir / name)
    for name in ("a/x", "a/b--c", "hub/only", "hub/empty"):
        write_model(_hub_folder(settings, name))
    (_hub_folder(settings, "hub/empty") / "model.safetensors").unlink()
    for name in ("a/y", "hub/only", "studio/only"):
        write_model(settings.lmstudio_dirs[0] / name)
    listed: dict[str, Place] = {}
    for place in iter_places(settings):
        listed.setdefault(place.repo_id, place)
    assert listed.keys() == {
        GUIDE_ID, "given", "a/x", "a/y", "a/b--c", "hub/only", "studio/only"
    }  # fmt: skip
    for name, place in listed.items():
        assert find_place(settings, name) == place
    for name in ("A/x", "a/X", "a--b/c", "hub/empty", "x", "a/x/", "../a/x"):
        assert find_place(settings, name) is None


def test_a_folder_is_read_once_until_it_changes(settings: Settings) -> None:
    folder = _settled_model(settings)
    remembered = Descriptions()
    place = Place(PLACE_NAME, "pomona", folder)
    first = remembered.describe(place)
    assert remembered.describe(place) is first
    remembered.keep_only(set())
    again = remembered.describe(place)
    assert again is not first and again == first


def _settled_model(settings: Settings) -> Path:
    folder = write_model(settings.models_dir / PLACE_NAME)
    write_json(folder / "generation_config.json", {"temperature": 0.5})
    (folder / "additional_chat_templates").mkdir()
    (folder / EXTRA_TEMPLATE).write_text("{{ messages }}")
    write_metadata(folder, Metadata(PLACE_NAME, "a" * 40, (), 1.0))
    time.sleep(A_TICK_S)  # files written just now are not relied on
    return folder


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: edit_json(folder / "config.json", max_position_embeddings=99),
        lambda folder: (folder / "model.safetensors").unlink(),
        lambda folder: (folder / "model-2.safetensors").touch(),
        lambda folder: (folder / "generation_config.json").write_text('{"temperature": 0.6}'),
        lambda folder: (folder / "tokenizer_config.json").unlink(),
        lambda folder: shutil.rmtree(folder / "additional_chat_templates"),
        lambda folder: (folder / EXTRA_TEMPLATE).unlink(),
        lambda folder: (folder / EXTRA_TEMPLATE).write_text("{{ 1 }}"),
        lambda folder: update_usage(folder, lambda usage: usage.after(5.0)),
        lambda folder: _replace_keeping_times(folder / "config.json"),
    ],
    ids=["config", "weights gone", "more weights", "same size", "tokenizer", "templates",
         "template", "template text", "usage", "same size and time"],
)  # fmt: skip
def test_a_change_shows_at_the_next_look(
    settings: Settings, change: Callable[[Path], object]
) -> None:
    folder = _settled_model(settings)
    remembered = Descriptions()
    place = Place(PLACE_NAME, "pomona", folder)
    before = remembered.describe(place)
    change(folder)
    after = remembered.describe(place)
    assert after is not before
    assert after == Descriptions().describe(place)


def _replace_keeping_times(path: Path) -> None:
    """As a copy that preserves times does."""
    facts = path.stat()
    text = path.read_text().replace("4096", "4097")
    path.write_text(text)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert path.stat().st_size == facts.st_size and "4097" in text


def test_files_dated_just_now_or_later_are_read_each_time(settings: Settings) -> None:
    folder = _settled_model(settings)
    soon = time.time() + 3_600  # as after a clock that was set back
    os.utime(folder / "config.json", (soon, soon))
    remembered = Descriptions()
    place = Place(PLACE_NAME, "pomona", folder)
    assert remembered.describe(place) is not remembered.describe(place)


def test_what_is_remembered_of_a_config_estimates_the_same(settings: Settings) -> None:
    folder = write_model(
        settings.models_dir / PLACE_NAME, quantization={"bits": 4, "group_size": 64}
    )
    library = _open(settings)
    model = library.find(PLACE_NAME)
    assert model.quantization == "4-bit" and model.path == folder
    assert model.memory == library.check(PLACE_NAME).estimate


def test_a_models_folder_that_is_not_there_hides_no_other_source(
    settings: Settings, tmp_path: Path
) -> None:
    write_model(settings.models_dir / "org" / "away")
    write_model(_hub_folder(settings, "org/hub"))
    library = _open(settings)
    assert library.names() == {GUIDE_ID, "org/away", "org/hub"}
    settings.models_dir.rename(tmp_path / "unplugged")
    assert [m.repo_id for m in library.list()] == [GUIDE_ID, "org/hub"]
    with pytest.raises(NotInstalled):
        library.check("org/away")
    assert library.delete("org/away").folder is None
    library.clean_trash()
    assert not settings.models_dir.exists()
    settings.models_dir.write_text("a file")
    assert library.names() == {GUIDE_ID, "org/hub"}
    settings.models_dir.unlink()
    (tmp_path / "unplugged").rename(settings.models_dir)
    assert library.find("org/away").will_chat


def test_a_folder_that_the_disk_cannot_read_is_damaged_and_the_others_are_listed(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = write_model(settings.models_dir / "org" / "bad")
    write_model(settings.models_dir / "org" / "good")
    listdir = os.listdir

    def fail(path: Path) -> list[str]:
        if Path(path) == bad:
            raise OSError(5, "Input/output error")
        return listdir(path)

    monkeypatch.setattr(os, "listdir", fail)
    models = {model.repo_id: model for model in _open(settings).list()}
    assert models["org/good"].will_chat
    assert "Input/output error" in models["org/bad"].problem


def test_a_model_deleted_during_the_scan_is_not_listed_as_damaged(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_model(settings.models_dir / PLACE_NAME)

    def find_then_delete(settings: Settings) -> Iterator[Place]:
        yield from iter_places(settings)
        shutil.rmtree(folder)

    monkeypatch.setattr(installed, "iter_places", find_then_delete)
    assert [model.repo_id for model in _open(settings).list()] == [GUIDE_ID]


def test_a_model_replaced_while_it_was_read_is_read_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_model(settings.models_dir / PLACE_NAME)
    describe_folder = descriptions.describe_folder
    moved = []

    def describe_half_way(path: Path, **options: bool) -> FolderFacts:
        if moved:
            return describe_folder(path, **options)
        moved.append((folder / "config.json").rename(folder / "away"))
        try:
            return describe_folder(path, **options)
        finally:
            moved[0].rename(folder / "config.json")

    monkeypatch.setattr(descriptions, "describe_folder", describe_half_way)
    assert _open(settings).find(PLACE_NAME).will_chat and moved


def test_links_that_lead_nowhere_or_in_a_circle_are_passed_over(settings: Settings) -> None:
    write_model(settings.models_dir / "org" / "good")
    for place in (settings.models_dir, settings.models_dir / "org"):
        (place / "nowhere").symlink_to("gone")
        (place / "circle").symlink_to("circle")
    (settings.models_dir / "org" / "good" / "circle").symlink_to("circle")
    assert _open(settings).names() == {GUIDE_ID, "org/good"}
    assert _open(settings).find("org/good").will_chat


def _blob(settings: Settings, repo: str, content: bytes, name: str) -> Path:
    path = settings.hf_cache_dir / repo / "blobs" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_a_file_of_the_hubs_cache_is_found_by_its_hash(settings: Settings) -> None:
    large, small = b"weights" * 9, b"{}"
    sha256 = hashlib.sha256(large).hexdigest()
    git_oid = hashlib.sha1(b"blob 2\0{}").hexdigest()
    large_blob = _blob(settings, "models--a--b", large, sha256)
    small_blob = _blob(settings, "models--c--d", small, git_oid)
    library = _open(settings)
    weights = RepoFile("model.safetensors", len(large), git_oid="b" * 40, sha256=sha256)
    assert library.cached_file(weights) == large_blob
    assert library.cached_file(RepoFile("config.json", 2, git_oid=git_oid)) == small_blob
    assert library.cached_file(replace(weights, size_bytes=62)) is None
    assert library.cached_file(replace(weights, sha256="c" * 64)) is None
    assert library.cached_file(RepoFile("x", 2)) is None


@pytest.mark.parametrize("name", ["../../../outside", "", "a/b", "\0" * 40, "../" * 13 + "a"])
def test_a_hash_that_is_none_finds_nothing(settings: Settings, name: str) -> None:
    _blob(settings, "models--a--b", b"mine", "outside")
    for file in (RepoFile("x", 4, sha256=name), RepoFile("x", 4, git_oid=name)):
        assert _open(settings).cached_file(file) is None


def test_a_link_in_the_hubs_cache_finds_nothing(settings: Settings, tmp_path: Path) -> None:
    name = hashlib.sha256(b"mine").hexdigest()
    outside = tmp_path / "outside" / "blobs"
    outside.mkdir(parents=True)
    (outside / name).write_bytes(b"mine")
    blobs = settings.hf_cache_dir / "models--a--b" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / name).symlink_to(outside / name)
    (settings.hf_cache_dir / "models--c--d").symlink_to(outside.parent)
    (settings.hf_cache_dir / "models--e--f").mkdir()
    (settings.hf_cache_dir / "models--e--f" / "blobs").symlink_to(outside)
    (settings.hf_cache_dir / "models--g--h" / "blobs" / name).mkdir(parents=True)
    near = settings.hf_cache_dir / "models--i--j" / "blobs"
    near.mkdir(parents=True)
    (near / "mine").write_bytes(b"mine")
    (near / name).symlink_to("mine")  # a link is as long as its target's name
    assert _open(settings).cached_file(RepoFile("x", 4, sha256=name)) is None


def test_a_load_looks_at_the_files_as_they_are_now(settings: Settings) -> None:
    folder = _settled_model(settings)
    library = _open(settings)
    assert library.find(PLACE_NAME).will_chat
    config = json.loads((folder / "config.json").read_text())
    write_json(folder / "config.json", {**config, "max_position_embeddings": 77})
    assert library.check(PLACE_NAME).context_tokens == 77
