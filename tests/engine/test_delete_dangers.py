"""Links, swaps in the middle, other disks and disks that refuse: a delete harms nothing else."""

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import Settings
from engine.errors import ModelError
from engine.library import Library
from engine.library.delete import clean_trash, execute_delete
from engine.library.sources import DOWNLOADS_NAME
from engine.records import DeletePlan
from tests.engine.deleting import NAME, everything_left, open_library
from tests.models import write_model

IS_ROOT = os.geteuid() == 0


@pytest.fixture
def library(settings: Settings) -> Library:
    return open_library(settings)


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


def test_a_link_inside_is_unlinked_and_not_followed(
    library: Library, folder: Path, outside: Path
) -> None:
    alone_bytes = library.plan_delete(NAME).freed_bytes
    (folder / "link").symlink_to(outside)
    (outside / "large").write_bytes(b"x" * 1_000_000)
    (folder / "file-link").symlink_to(outside / "large")
    plan = library.plan_delete(NAME)
    assert plan.freed_bytes < alone_bytes + 100_000
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
    assert open_library(settings).delete(NAME).freed_bytes > 0
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
        open_library(settings, is_in_use=swap).delete(NAME)
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


def test_another_disk_mounted_inside_is_not_emptied(
    settings: Settings, library: Library, folder: Path
) -> None:
    place = folder / "mounted"
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "pomona-test", str(place)], capture_output=True
    )
    if made.returncode:
        pytest.skip("only root can mount a disk")
    try:
        (place / "precious").write_text("mine")
        for refuse in (library.plan_delete, library.delete):
            with pytest.raises(ModelError, match="Another disk"):
                refuse(NAME)
        assert (place / "precious").read_text() == "mine" and NAME in library.names()
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_disk_that_is_read_only_keeps_the_model_whole(settings: Settings, folder: Path) -> None:
    (settings.models_dir / DOWNLOADS_NAME).mkdir()
    before = everything_left(settings)
    place = str(settings.models_dir)
    if subprocess.run(["mount", "--bind", place, place], capture_output=True).returncode:
        pytest.skip("only root can mount a disk")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", place], check=True)
        library = open_library(settings)
        library.record_use(NAME, 5.0)
        with pytest.raises(ModelError, match="Read-only file system") as caught:
            library.delete(NAME)
        library.clean_trash()
        library.close()
        assert "Nothing was deleted" in caught.value.hint
        assert library.find(NAME).will_chat and everything_left(settings) == before
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def test_a_file_put_in_during_the_deed_goes_too(
    settings: Settings, library: Library, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rmdir = os.rmdir
    late = []

    def put_then_rmdir(name: str, **options: int) -> None:
        if not late and name.startswith("trash-"):
            late.append(settings.models_dir / DOWNLOADS_NAME / name / "late")
            late[0].touch()
        rmdir(name, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "rmdir", put_then_rmdir)
    library.delete(NAME)
    assert late and not os.listdir(settings.models_dir / DOWNLOADS_NAME)


def test_one_of_many_deletes_at_once_does_it_and_the_others_find_nothing(
    settings: Settings, folder: Path
) -> None:
    plans: list[DeletePlan] = []
    libraries = [
        open_library(settings) for _ in range(8)
    ]  # each with a lock of its own, as processes
    threads = [
        threading.Thread(target=lambda lib=lib: plans.append(lib.delete(NAME))) for lib in libraries
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(plans) == 8 and not folder.exists()
    assert sum(plan.folder is not None for plan in plans) == 1


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
    assert [name for name in everything_left(settings) if "trash-" in name]
    open_library(settings).clean_trash()
    assert everything_left(settings) == [DOWNLOADS_NAME]


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
    assert everything_left(settings) == []
