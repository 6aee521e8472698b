"""A delete takes one model's own folder, all of it or nothing, and never anything else."""

import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import Settings
from engine.errors import InUse, ModelError, NotInstalled
from engine.inference import supported_architectures
from engine.library import Library
from engine.library.delete import clean_trash, execute_delete
from engine.library.sources import DOWNLOADS_NAME
from engine.records import DeletePlan
from engine.settings import GUIDE_DIR, GUIDE_ID
from tests.conftest import settings_in
from tests.models import write_model

NAME = "org/name"
NOTHING = DeletePlan(NAME, None, (), 0)
IS_ROOT = os.geteuid() == 0


@pytest.fixture
def library(settings: Settings) -> Library:
    return _open(settings)


@pytest.fixture
def folder(settings: Settings) -> Path:
    """A model of Pomona's own."""
    return write_model(settings.models_dir / NAME)


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """A folder that no delete may touch."""
    kept = tmp_path / "outside"
    (kept / "deep").mkdir(parents=True)
    (kept / "deep" / "precious").write_text("mine")
    (kept / "precious").write_text("mine")
    yield kept
    assert (kept / "precious").read_text() == (kept / "deep" / "precious").read_text() == "mine"


def _open(settings: Settings, **options: object) -> Library:
    return Library(settings, supported_architectures, lambda: 10**9, **options)  # type: ignore[arg-type]


def _left(settings: Settings) -> list[str]:
    """Everything below the models folder."""
    return sorted(
        path.relative_to(settings.models_dir).as_posix() for path in settings.models_dir.rglob("*")
    )


def test_the_plan_names_every_file_and_changes_nothing(
    settings: Settings, library: Library, folder: Path
) -> None:
    (folder / "extra").mkdir()
    (folder / "extra" / "more.txt").write_text("more")
    before = _left(settings)
    plan = library.plan_delete(NAME)
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert plan.repo_id == NAME and plan.folder == folder
    assert plan.paths == tuple(sorted(files))
    assert plan.freed_bytes == sum(path.stat().st_blocks * 512 for path in files) > 0
    assert _left(settings) == before


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
    settings: Settings, library: Library, folder: Path, outside: Path, name: str
) -> None:
    before = _left(settings)
    for refuse in (library.plan_delete, library.delete):
        with pytest.raises(NotInstalled) as caught:
            refuse(name)
        assert caught.value.hint and len(caught.value.message) < 200
    assert _left(settings) == before


def test_a_link_inside_is_unlinked_and_not_followed(
    library: Library, folder: Path, outside: Path
) -> None:
    (folder / "link").symlink_to(outside)
    (folder / "file-link").symlink_to(outside / "precious")
    plan = library.plan_delete(NAME)
    assert {folder / "link", folder / "file-link"} <= set(plan.paths)
    assert not any(outside in path.parents for path in plan.paths)
    library.delete(NAME)
    assert not folder.exists()


def test_a_model_folder_that_is_a_link_is_only_unlinked(
    settings: Settings, library: Library, tmp_path: Path
) -> None:
    elsewhere = write_model(tmp_path / "elsewhere")
    before = sorted(os.listdir(elsewhere))
    link = settings.models_dir / NAME
    link.parent.mkdir(parents=True)
    link.symlink_to(elsewhere)
    assert NAME in library.names()
    assert library.delete(NAME) == DeletePlan(NAME, link, (link,), 0)
    assert not link.is_symlink() and NAME not in library.names()
    assert sorted(os.listdir(elsewhere)) == before


def test_an_org_that_is_a_link_is_refused(
    settings: Settings, library: Library, tmp_path: Path
) -> None:
    elsewhere = write_model(tmp_path / "elsewhere" / "name")
    settings.models_dir.mkdir()
    (settings.models_dir / "org").symlink_to(elsewhere.parent)
    assert NAME in library.names()
    for refuse in (library.plan_delete, library.delete):
        with pytest.raises(ModelError, match="link") as caught:
            refuse(NAME)
        assert caught.value.hint
    assert (elsewhere / "config.json").is_file()


def test_a_models_folder_behind_a_link_is_ones_own(settings: Settings, tmp_path: Path) -> None:
    write_model(tmp_path / "disk" / NAME)
    settings.models_dir.symlink_to(tmp_path / "disk")
    assert _open(settings).delete(NAME).freed_bytes > 0
    assert not (tmp_path / "disk" / NAME).exists()


def test_a_folder_swapped_for_a_link_after_the_plan_reaches_nothing_outside(
    settings: Settings, library: Library, folder: Path, outside: Path
) -> None:
    plan = library.plan_delete(NAME)
    shutil.rmtree(folder)
    folder.symlink_to(outside)
    assert plan.freed_bytes > 0
    execute_delete(settings.models_dir, NAME)
    assert not folder.is_symlink()


def test_an_org_swapped_for_a_link_after_the_check_reaches_nothing_outside(
    settings: Settings, folder: Path, outside: Path
) -> None:
    (outside / "name").mkdir()
    (outside / "name" / "config.json").write_text("{}")

    def swap(_: str) -> None:  # asked last, after the model was found
        shutil.rmtree(folder.parent)
        folder.parent.symlink_to(outside)

    with pytest.raises(ModelError):
        _open(settings, is_in_use=swap).delete(NAME)
    assert (outside / "name" / "config.json").read_text() == "{}"


def test_a_swap_in_the_middle_of_the_deed_reaches_nothing_outside(
    settings: Settings, folder: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = os.rename

    def swap_then_rename(*args: object, **options: object) -> None:
        shutil.rmtree(folder)
        folder.symlink_to(outside)
        rename(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "rename", swap_then_rename)
    execute_delete(settings.models_dir, NAME)
    assert not folder.is_symlink() and not os.listdir(settings.models_dir / DOWNLOADS_NAME)


def test_a_downloads_folder_that_is_a_link_is_not_used(
    settings: Settings, library: Library, folder: Path, outside: Path
) -> None:
    (settings.models_dir / DOWNLOADS_NAME).symlink_to(outside)
    (outside / "trash-0").mkdir()
    with pytest.raises(ModelError):
        library.delete(NAME)
    library.clean_trash()
    assert (folder / "config.json").is_file() and (outside / "trash-0").is_dir()


def test_a_model_in_use_stays(settings: Settings, folder: Path) -> None:
    reasons = {NAME: "It is loaded."}
    library = _open(settings, is_in_use=reasons.get)
    for refuse in (library.plan_delete, library.delete):
        with pytest.raises(InUse) as caught:
            refuse(NAME)
        assert caught.value.message == "It is loaded." and caught.value.hint
    assert (folder / "config.json").is_file()
    reasons.clear()
    assert library.delete(NAME).folder == folder


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
        _open(settings).delete("org/studio")
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


def test_one_of_many_deletes_at_once_does_it_and_the_others_find_nothing(
    settings: Settings, folder: Path
) -> None:
    plans: list[DeletePlan] = []
    libraries = [_open(settings) for _ in range(8)]  # each with a lock of its own, as processes
    threads = [
        threading.Thread(target=lambda lib=lib: plans.append(lib.delete(NAME))) for lib in libraries
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(plans) == 8 and not folder.exists()
    assert any(plan.freed_bytes for plan in plans)


@pytest.mark.skipif(IS_ROOT, reason="nothing is read-only to root")
def test_a_folder_that_cannot_be_changed_stays_whole(library: Library, folder: Path) -> None:
    before = sorted(os.listdir(folder))
    folder.parent.chmod(0o500)
    try:
        with pytest.raises(ModelError) as caught:
            library.delete(NAME)
    finally:
        folder.parent.chmod(0o700)
    assert "Nothing was deleted" in caught.value.hint
    assert sorted(os.listdir(folder)) == before


@pytest.mark.parametrize("failing", ["mkdir", "rename"])
def test_a_disk_that_refuses_leaves_the_model_whole(
    library: Library, folder: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    before = sorted(os.listdir(folder))

    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(os, failing, refuse)
        with pytest.raises(ModelError, match="Read-only file system") as caught:
            library.delete(NAME)
    assert "Nothing was deleted" in caught.value.hint
    assert sorted(os.listdir(folder)) == before and library.find(NAME).will_chat


def test_a_delete_that_stops_half_way_leaves_rubbish_and_no_half_model(
    settings: Settings, library: Library, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlink = os.unlink
    calls = []

    def fail_later(*args: object, **options: object) -> None:
        calls.append(args)
        if len(calls) > 2:
            raise OSError(5, "Input/output error")
        unlink(*args, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", fail_later)
        with pytest.raises(ModelError, match="off the list") as caught:
            library.delete(NAME)
    assert "next start" in caught.value.hint
    assert NAME not in library.names() and not folder.exists()
    assert [name for name in _left(settings) if "trash-" in name]
    _open(settings).clean_trash()
    assert _left(settings) == [DOWNLOADS_NAME]


def test_cleaning_up_takes_trash_alone(settings: Settings, outside: Path) -> None:
    downloads = settings.models_dir / DOWNLOADS_NAME
    write_model(downloads / "trash-1")
    (downloads / "trash-1" / "link").symlink_to(outside)
    (downloads / "trash-2").symlink_to(outside)
    write_model(downloads / "job" / "files")
    clean_trash(settings.models_dir)
    assert os.listdir(downloads) == ["job"]
    assert (downloads / "job" / "files" / "config.json").is_file()


def test_cleaning_up_where_nothing_is_does_nothing(settings: Settings) -> None:
    clean_trash(settings.models_dir)
    settings.models_dir.mkdir()
    clean_trash(settings.models_dir)
    assert _left(settings) == []


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
    assert _open(settings).find(NAME).times_used == 0
