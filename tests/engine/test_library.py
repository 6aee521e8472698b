"""The library finds models where people have them, and changes nothing there."""

import hashlib
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from engine import Engine, Settings
from engine.errors import ModelError, NotInstalled
from engine.inference import supported_architectures
from engine.library import Library
from engine.records import LocalModel, SamplingParams
from engine.settings import GUIDE_ID
from tests.conftest import settings_in
from tests.engine.answers import ask
from tests.models import edit_json, write_json, write_model

OLD, NEW = "a" * 40, "b" * 40


def _open(settings: Settings) -> Library:
    return Library(settings, supported_architectures, lambda: 10**9)


def _listed(settings: Settings) -> dict[str, LocalModel]:
    return {model.repo_id: model for model in _open(settings).list()}


def _hub_model(settings: Settings, name: str, revision: str = NEW, main: str | None = NEW) -> Path:
    """A model as huggingface_hub keeps it: blobs, and links to them from a snapshot."""
    repo = settings.hf_cache_dir / f"models--{name.replace('/', '--')}"
    snapshot = repo / "snapshots" / revision
    written = write_model(settings.data_dir / f"written-{revision[0]}")
    (repo / "blobs").mkdir(parents=True, exist_ok=True)
    snapshot.mkdir(parents=True)
    for file in written.iterdir():
        blob = repo / "blobs" / f"{revision[0]}-{file.name}"
        shutil.move(file, blob)
        (snapshot / file.name).symlink_to(os.path.relpath(blob, snapshot))
    if main:
        (repo / "refs").mkdir(exist_ok=True)
        (repo / "refs" / "main").write_text(main)
    return snapshot


def _fingerprint(folder: Path) -> dict[str, tuple[str, int]]:
    return {
        str(path.relative_to(folder)): (
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "",
            path.lstat().st_mtime_ns,
        )
        for path in sorted(folder.rglob("*"))
    }


def test_the_guide_is_there_before_anything_else(settings: Settings) -> None:
    models = _open(settings).list()
    assert [model.repo_id for model in models] == [GUIDE_ID]
    assert models[0].source == "built-in"
    assert models[0].will_chat


def test_a_model_is_described_by_its_files(settings: Settings) -> None:
    folder = write_model(settings.models_dir / "org" / "name", context=1234)
    write_json(folder / "generation_config.json", {
        "temperature": 0.5, "top_p": 9, "top_k": True, "max_new_tokens": 700,
    })  # fmt: skip
    model = _listed(settings)["org/name"]
    assert model.source == "pomona" and model.path == folder
    assert model.size_bytes == (folder / "model.safetensors").stat().st_size
    assert (model.architecture, model.quantization, model.context_tokens) == ("llama", "fp32", 1234)
    assert model.memory and model.memory.fit == "fits"
    assert (
        model.suggested == SamplingParams(temperature=0.5, max_tokens=700) and model.has_suggestions
    )
    assert model.will_chat


def test_do_sample_false_suggests_to_be_greedy(settings: Settings) -> None:
    folder = write_model(settings.models_dir / "org" / "name")
    write_json(folder / "generation_config.json", {"do_sample": False})
    assert _listed(settings)["org/name"].suggested.temperature == 0


def test_quantisation_is_named_as_people_name_it(settings: Settings) -> None:
    folder = write_model(settings.models_dir / "org" / "name")
    for config, name in (({"bits": 4}, "4-bit"), ({"mode": "mxfp4", "bits": 4}, "mxfp4")):
        edit_json(folder / "config.json", quantization=config)
        assert _listed(settings)["org/name"].quantization == name


def test_the_hubs_cache_is_read_at_the_revision_that_main_names(settings: Settings) -> None:
    _hub_model(settings, "org/name", OLD, main=None)
    snapshot = _hub_model(settings, "org/name", NEW, main=NEW)
    (settings.hf_cache_dir / "models--org--name" / "refs" / "main").write_text(f"{NEW}\n")
    model = _listed(settings)["org/name"]
    assert (model.source, model.path, model.revision) == ("huggingface", snapshot, NEW)


@pytest.mark.parametrize("main", [None, "../../../../etc", "no commit", NEW, "\udcff"])
def test_a_revision_that_is_not_there_gives_way_to_one_that_is(
    settings: Settings, main: str | None
) -> None:
    _hub_model(settings, "org/name", OLD, main=None)
    refs = settings.hf_cache_dir / "models--org--name" / "refs"
    refs.mkdir()
    if main is not None:
        (refs / "main").write_bytes(main.encode("utf-8", "surrogateescape"))
    looked_at = settings.hf_cache_dir / "models--org--name" / "snapshots" / NEW
    write_json(_made(looked_at) / "config.json", {"model_type": "llama"})  # its config alone
    assert _listed(settings)["org/name"].revision == OLD


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def test_what_else_is_in_the_hubs_cache_is_passed_over(settings: Settings) -> None:
    for name in ("datasets--org--data", "models--single", "version.txt.d", ".locks"):
        write_model(settings.hf_cache_dir / name / "snapshots" / NEW)
    assert _listed(settings).keys() == {GUIDE_ID}


def test_lm_studios_models_are_used_in_place(settings: Settings) -> None:
    folder = write_model(settings.lmstudio_dirs[0] / "org" / "name")
    model = _listed(settings)["org/name"]
    assert (model.source, model.path) == ("lmstudio", folder)


def test_of_two_with_one_name_the_first_source_wins(settings: Settings) -> None:
    write_model(settings.lmstudio_dirs[0] / "org" / "name")
    assert _listed(settings)["org/name"].source == "lmstudio"
    _hub_model(settings, "org/name")
    assert _listed(settings)["org/name"].source == "huggingface"
    write_model(settings.models_dir / "org" / "name")
    assert _listed(settings)["org/name"].source == "pomona"
    assert _open(settings).find("org/name").source == "pomona"


def test_hidden_folders_are_downloads_under_way(settings: Settings) -> None:
    write_model(settings.models_dir / ".downloads" / "name")
    write_model(settings.models_dir / "org" / ".name.partial")
    assert _listed(settings).keys() == {GUIDE_ID}


def test_folders_without_a_config_and_loose_files_are_no_models(settings: Settings) -> None:
    (settings.models_dir / "org" / "empty").mkdir(parents=True)
    (settings.models_dir / "loose.safetensors").touch()
    (settings.models_dir / "org" / "file").touch()
    assert _listed(settings).keys() == {GUIDE_ID}


def test_a_name_that_cannot_be_shown_is_not_listed(settings: Settings) -> None:
    write_model(settings.models_dir / "org" / "caf\udce9")
    write_model(settings.models_dir / "org" / "two\nlines")
    assert _listed(settings).keys() == {GUIDE_ID}


def test_a_folder_given_on_the_command_line_is_listed(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "elsewhere" / "mine")
    model = _listed(replace(settings_in(tmp_path), extra_models=(folder,)))["mine"]
    assert (model.source, model.path) == ("path", folder)


def test_one_damaged_model_leaves_the_list_whole(settings: Settings) -> None:
    write_model(settings.models_dir / "a" / "good")
    snapshot = _hub_model(settings, "b/dangling")
    (snapshot / "model.safetensors").resolve().unlink()
    (write_model(settings.models_dir / "c" / "bad") / "config.json").write_text("[")
    models = _listed(settings)
    assert models.keys() == {GUIDE_ID, "a/good", "b/dangling", "c/bad"}
    assert models["a/good"].will_chat
    for name in ("b/dangling", "c/bad"):
        assert models[name].is_damaged and not models[name].will_chat


def test_what_stands_in_the_way_is_said(settings: Settings) -> None:
    folder = write_model(settings.models_dir / "org" / "name", template=None, model_type="gopher")
    edit_json(folder / "config.json", model_file="run_me.py")
    blockers = " ".join(_listed(settings)["org/name"].blockers)
    for word in ("code", "gopher", "template"):
        assert word in blockers


@pytest.mark.parametrize(
    "name", ["", "nobody/nothing", "../../etc", "a\0b", "a\nb", "x" * 400, "/", "pomona/guide/"]
)
def test_a_name_that_is_not_there_is_not_installed(settings: Settings, name: str) -> None:
    with pytest.raises(NotInstalled) as caught:
        _open(settings).check(name)
    assert caught.value.hint
    assert len(caught.value.message) < 200


def test_other_programs_folders_stay_as_they_are_byte_for_byte(engine: Engine) -> None:
    _hub_model(engine.settings, "other/hub")
    write_model(engine.settings.lmstudio_dirs[0] / "other" / "studio", seed=7)
    folders = (engine.settings.hf_cache_dir, engine.settings.lmstudio_dirs[0])
    before = [_fingerprint(folder) for folder in folders]
    for name in ("other/hub", "other/studio"):
        assert engine.library.find(name).source in ("huggingface", "lmstudio")
        assert ask(engine, "hello", name).text
        engine.inference.unload(name)
        engine.library.record_use(name, 5.0)
        with pytest.raises(ModelError):
            engine.library.delete(name)
        with pytest.raises(ModelError):
            engine.library.verify(name)
    engine.library.list()
    engine.library.close()
    assert [_fingerprint(folder) for folder in folders] == before
