"""A downloaded model that is no longer what was downloaded is named as such, and what is wrong."""

import hashlib
import os
from pathlib import Path

import pytest

from engine import Settings
from engine.errors import Cancelled, Damaged, ModelError, NotInstalled
from engine.inference import supported_architectures
from engine.library import Library
from engine.library.metadata import METADATA_NAME, Metadata, write_metadata
from engine.records import LocalModel, RepoFile
from engine.settings import GUIDE_ID
from tests.models import TEMPLATE, edit_json, write_model

NAME = "org/name"
SHARDS = 4
SHARD = "model-00002-of-00004.safetensors"


def _hub_file(folder: Path, path: str) -> RepoFile:
    """The file as the Hub describes it: large ones by SHA-256, all by git's hash."""
    raw = (folder / path).read_bytes()
    is_large = path.endswith(".safetensors")
    return RepoFile(
        path, len(raw),
        git_oid=hashlib.sha1(b"blob %d\0" % len(raw) + raw).hexdigest(),
        sha256=hashlib.sha256(raw).hexdigest() if is_large else None,
    )  # fmt: skip


def _download(settings: Settings, name: str = NAME) -> Path:
    folder = write_model(settings.models_dir / name, shards=SHARDS)
    (folder / "additional_chat_templates").mkdir()
    (folder / "additional_chat_templates" / "tools.jinja").write_text("{{ tools }}")
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    (folder / "merges.txt").write_text("a b\n")
    (folder / "README.md").write_text("# A model\n")
    paths = [str(p.relative_to(folder)) for p in sorted(folder.rglob("*")) if p.is_file()]
    files = tuple(_hub_file(folder, path) for path in paths)
    write_metadata(folder, Metadata(name, "a" * 40, files, 1.0))
    return folder


@pytest.fixture
def folder(settings: Settings) -> Path:
    return _download(settings)


@pytest.fixture
def library(settings: Settings) -> Library:
    return Library(settings, supported_architectures, lambda: 10**9)


def _listed(library: Library) -> LocalModel:
    return {model.repo_id: model for model in library.list()}[NAME]


def _flip_last_bit(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)


def test_a_whole_model_has_no_problem(library: Library, folder: Path) -> None:
    assert library.verify(NAME) == ()
    model = _listed(library)
    assert model.will_chat and not model.problem and model.is_repairable
    assert (model.revision, model.downloaded_at) == ("a" * 40, 1.0)
    assert library.check(NAME).path == folder


@pytest.mark.parametrize(
    "path", [SHARD, "config.json", "tokenizer.json", "merges.txt",
             "additional_chat_templates/tools.jinja"],
)  # fmt: skip
def test_a_missing_file_is_named(library: Library, folder: Path, path: str) -> None:
    assert _listed(library).will_chat
    (folder / path).unlink()
    model = _listed(library)
    assert model.problem == f"{path} is missing." and model.is_damaged and model.is_repairable
    assert library.find(NAME) == model
    assert library.verify(NAME) == (path,)
    with pytest.raises(Damaged, match=path) as caught:
        library.check(NAME)
    assert "Repair" in caught.value.hint


def test_many_missing_files_are_counted(library: Library, folder: Path) -> None:
    for n in (1, 2, 4):
        (folder / f"model-0000{n}-of-00004.safetensors").unlink()
    problem = _listed(library).problem
    assert "model-00001-of-00004.safetensors is missing, and 2 more" in problem


@pytest.mark.parametrize("change", [lambda raw: raw[:-1], lambda raw: raw + b"x", lambda raw: b""])
def test_weights_of_another_size_are_named_with_both_sizes(
    library: Library, folder: Path, change: object
) -> None:
    size = (folder / SHARD).stat().st_size
    raw = change((folder / SHARD).read_bytes())  # type: ignore[operator]
    (folder / SHARD).write_bytes(raw)
    problem = _listed(library).problem
    assert problem == f"{SHARD} is {len(raw):,} bytes long instead of {size:,}."
    assert library.verify(NAME) == (SHARD,)


def test_wrong_bytes_of_the_right_size_are_found_by_reading_them(
    library: Library, folder: Path
) -> None:
    for path in (SHARD, "merges.txt"):
        _flip_last_bit(folder / path)
    assert not _listed(library).problem
    assert library.verify(NAME) == ("merges.txt", SHARD)


def test_a_text_mended_by_hand_is_no_damage(library: Library, folder: Path) -> None:
    edit_json(folder / "config.json", max_position_embeddings=99)
    (folder / "additional_chat_templates" / "tools.jinja").write_text("{{ longer_than_before }}")
    (folder / "README.md").unlink()
    model = _listed(library)
    assert model.will_chat and model.context_tokens == 99
    assert library.check(NAME).context_tokens == 99
    assert set(library.verify(NAME)) == {
        "config.json", "additional_chat_templates/tools.jinja", "README.md"
    }  # fmt: skip


@pytest.mark.parametrize("text", ["", '{"half": '])
@pytest.mark.parametrize("path", ["config.json", "tokenizer_config.json", "tokenizer.json"])
def test_a_text_that_broke_off_is_damage(
    library: Library, folder: Path, path: str, text: str
) -> None:
    (folder / path).write_text(text)
    assert path in _listed(library).problem
    with pytest.raises(Damaged, match=path):
        library.check(NAME)


def test_a_folder_in_a_files_place_is_a_missing_file(library: Library, folder: Path) -> None:
    (folder / SHARD).unlink()
    (folder / SHARD).mkdir()
    assert _listed(library).problem == f"{SHARD} is missing."
    assert library.verify(NAME) == (SHARD,)


def test_a_pipe_in_a_files_place_does_not_wait_for_ever(library: Library, folder: Path) -> None:
    for path in (SHARD, "tokenizer_config.json"):
        (folder / path).unlink()
        os.mkfifo(folder / path)
    assert _listed(library).is_damaged
    assert set(library.verify(NAME)) == {SHARD, "tokenizer_config.json"}


def test_damage_that_only_the_weights_headers_show_offers_the_repair(
    library: Library, folder: Path
) -> None:
    raw = (folder / SHARD).read_bytes()
    (folder / SHARD).write_bytes(b"PK\3\4" + raw[4:])
    with pytest.raises(Damaged, match=SHARD) as caught:
        library.check(NAME)
    assert "Repair" in caught.value.hint


def test_a_model_of_another_name_is_not_repaired_under_this_one(
    settings: Settings, library: Library, folder: Path
) -> None:
    folder.rename(settings.models_dir / "org" / "renamed")
    model = library.find("org/renamed")
    assert model.will_chat and not model.is_repairable


def test_facts_that_make_no_sense_are_as_none(library: Library, folder: Path) -> None:
    (folder / METADATA_NAME).write_text("{")
    model = _listed(library)
    assert model.will_chat and not model.is_repairable and model.downloaded_at is None
    with pytest.raises(ModelError) as caught:
        library.verify(NAME)
    assert caught.value.hint


def test_what_pomona_did_not_download_cannot_be_verified(library: Library) -> None:
    with pytest.raises(ModelError):
        library.verify(GUIDE_ID)
    for name in ("org/none", "../.."):
        with pytest.raises(NotInstalled):
            library.verify(name)


def test_verifying_ends_when_told(library: Library, folder: Path) -> None:
    with pytest.raises(Cancelled):
        library.verify(NAME, stop=lambda: True)
