"""A delete takes one model's own folder, all of it or nothing, and never anything else."""

import os
from pathlib import Path

import pytest

from engine import Engine, Settings
from engine.errors import InUse, ModelError, NotInstalled
from engine.library import Library
from engine.library.sources import DOWNLOADS_NAME
from engine.records import DeletePlan
from engine.settings import GUIDE_DIR, GUIDE_ID
from tests.conftest import settings_in
from tests.engine.answers import ask
from tests.engine.deleting import NAME, everything_left, open_library
from tests.models import write_model

NOTHING = DeletePlan(NAME, None, (), 0)


@pytest.fixture
def library(settings: Settings) -> Library:
    return open_library(settings)


@pytest.fixture
def folder(settings: Settings) -> Path:
    """A model of Pomona's own."""
    return write_model(settings.models_dir / NAME)


def test_the_plan_names_every_file_and_changes_nothing(
    settings: Settings, library: Library, folder: Path
) -> None:
    (folder / "extra").mkdir()
    (folder / "extra" / "more.txt").write_text("more")
    before = everything_left(settings)
    plan = library.plan_delete(NAME)
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert plan.repo_id == NAME and plan.folder == folder
    assert plan.paths == tuple(sorted(files))
    assert plan.freed_bytes == sum(path.stat().st_blocks * 512 for path in files) > 0
    assert everything_left(settings) == before


def test_a_delete_does_what_the_plan_said(
    settings: Settings, library: Library, folder: Path
) -> None:
    write_model(settings.models_dir / "org" / "other")
    plan = library.plan_delete(NAME)
    assert library.delete(NAME) == plan
    assert not any(path.exists() for path in plan.paths)
    assert library.names() == {GUIDE_ID, "org/other"}
    assert not os.listdir(settings.models_dir / DOWNLOADS_NAME)


def test_a_second_delete_is_a_clean_no_op(library: Library, folder: Path) -> None:
    library.delete(NAME)
    assert library.plan_delete(NAME) == library.delete(NAME) == NOTHING


def test_an_org_without_models_goes_too(settings: Settings, library: Library, folder: Path) -> None:
    library.delete(NAME)
    assert not (settings.models_dir / "org").exists()
    assert settings.models_dir.is_dir()


def test_holes_in_a_file_free_nothing(library: Library, folder: Path) -> None:
    before = library.plan_delete(NAME).freed_bytes
    with (folder / "holes.bin").open("wb") as file:
        file.truncate(10**9)
    assert library.plan_delete(NAME).freed_bytes < before + 10**6


def test_a_file_that_has_another_name_elsewhere_frees_nothing(
    library: Library, folder: Path, tmp_path: Path
) -> None:
    (folder / "twin.bin").write_bytes(b"x" * 100_000)
    alone = library.plan_delete(NAME).freed_bytes
    os.link(folder / "twin.bin", folder / "twin-too.bin")
    assert library.plan_delete(NAME).freed_bytes == alone
    os.link(folder / "twin.bin", tmp_path / "elsewhere.bin")
    assert library.plan_delete(NAME).freed_bytes <= alone - 100_000
    library.delete(NAME)
    assert (tmp_path / "elsewhere.bin").read_bytes() == b"x" * 100_000


@pytest.mark.parametrize(
    "name",
    ["..", "../..", "../outside", "org/..", "org/../outside", "org/.", "./org", "org//name", "/etc",
     "/", "", "org", "org/name/", "org/name/deep", ".downloads/job", "org/.hidden", "a\0/b",
     "org\n/name", "x" * 300 + "/name"],
)  # fmt: skip
def test_a_name_that_leads_elsewhere_is_refused(
    settings: Settings, library: Library, folder: Path, tmp_path: Path, name: str
) -> None:
    outside = write_model(tmp_path / "outside")
    before = everything_left(settings)
    for refuse in (library.plan_delete, library.delete):
        with pytest.raises(NotInstalled) as caught:
            refuse(name)
        assert caught.value.hint and len(caught.value.message) < 200
    assert everything_left(settings) == before
    assert (outside / "config.json").is_file()


def test_a_model_in_use_stays(settings: Settings, folder: Path) -> None:
    reasons = {NAME: "It is loaded."}
    library = open_library(settings, is_in_use=reasons.get)
    for refuse in (library.plan_delete, library.delete):
        with pytest.raises(InUse) as caught:
            refuse(NAME)
        assert caught.value.message == "It is loaded." and caught.value.hint
    assert (folder / "config.json").is_file()
    reasons.clear()
    assert library.delete(NAME).folder == folder


def test_a_loaded_model_stays_until_it_is_unloaded(engine: Engine) -> None:
    folder = write_model(engine.settings.models_dir / "to" / "delete")
    assert ask(engine, "hello", "to/delete").text
    with pytest.raises(InUse, match="loaded"):
        engine.library.delete("to/delete")
    assert (folder / "config.json").is_file()
    engine.inference.unload("to/delete")
    assert engine.library.delete("to/delete").freed_bytes > 0
    assert not folder.exists()


def test_other_programs_models_stay_and_the_sentence_says_whose_they_are(
    settings: Settings, library: Library
) -> None:
    studio = write_model(settings.lmstudio_dirs[0] / "org" / "studio")
    snapshot = settings.hf_cache_dir / "models--org--hub" / "snapshots" / ("a" * 40)
    write_model(snapshot)
    cases = {
        "org/studio": ("LM Studio", studio),
        "org/hub": ("Hugging Face cache", snapshot),
        GUIDE_ID: ("Pomona itself", GUIDE_DIR),
    }
    for name, (program, path) in cases.items():
        for refuse in (library.plan_delete, library.delete):
            with pytest.raises(ModelError, match=program) as caught:
                refuse(name)
            assert path.name in caught.value.message and caught.value.hint
        assert (path / "config.json").is_file()


def test_a_home_folder_is_not_spelled_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    settings = settings_in(tmp_path)
    write_model(settings.lmstudio_dirs[0] / "org" / "studio")
    with pytest.raises(ModelError) as caught:
        open_library(settings).delete("org/studio")
    assert "~/lmstudio/org/studio" in caught.value.message
    assert str(tmp_path) not in caught.value.text


def test_a_copy_of_another_program_comes_to_light_and_stays(
    settings: Settings, library: Library, folder: Path
) -> None:
    studio = write_model(settings.lmstudio_dirs[0] / NAME)
    library.delete(NAME)
    assert library.find(NAME).source == "lmstudio"
    with pytest.raises(ModelError, match="LM Studio"):
        library.delete(NAME)
    assert (studio / "config.json").is_file()


def test_what_was_noted_of_a_model_goes_with_it(
    settings: Settings, library: Library, folder: Path
) -> None:
    library.record_use(NAME, 5.0)
    library.close()
    assert library.find(NAME).times_used == 1
    library.record_use(NAME, 6.0)
    library.delete(NAME)
    write_model(folder)
    assert library.find(NAME).times_used == 0
    library.close()
    assert open_library(settings).find(NAME).times_used == 0
