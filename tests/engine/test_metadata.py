"""What is kept beside a model: whole or not there, and never a reason to fail."""

import json
import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from engine.library.metadata import (
    MAX_METADATA_BYTES,
    METADATA_NAME,
    Metadata,
    is_plain_path,
    read_metadata,
    update_usage,
    write_metadata,
)
from engine.library.usage import Usage
from engine.records import RepoFile

FILES = (
    RepoFile("config.json", 7, git_oid="a" * 40),
    RepoFile("model.safetensors", 10**12, git_oid="b" * 40, sha256="c" * 64),
    RepoFile("additional_chat_templates/tool use.jinja", 0),
)
METADATA = Metadata(
    "org/name", "d" * 40, FILES, 1_700_000_000.5,
    Usage(1_700_000_001.0, 3, 10**9, 4096, 1024, 2 * 10**8, 31.5),
)  # fmt: skip
DEEP = "[" * 100_000 + "]" * 100_000


def _raw(folder: Path) -> dict[str, object]:
    write_metadata(folder, METADATA)
    return dict(json.loads((folder / METADATA_NAME).read_text()))


def _names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def test_what_was_written_is_read(tmp_path: Path) -> None:
    write_metadata(tmp_path, METADATA)
    assert read_metadata(tmp_path) == METADATA
    assert _names(tmp_path) == [METADATA_NAME]


def test_nothing_is_read_where_nothing_is(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "gone", tmp_path / "a\0b", tmp_path / ("x" * 400)):
        assert read_metadata(folder) is None


def test_a_folder_that_is_gone_is_an_error_of_the_system(tmp_path: Path) -> None:
    for folder in (tmp_path / "gone", tmp_path / "a\0b"):
        with pytest.raises(OSError):
            write_metadata(folder, METADATA)
        with pytest.raises(OSError):
            update_usage(folder, lambda usage: usage)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "3", '"x"', "\0\0\0", DEEP, '{"format": ' + DEEP + "}", "NaN",
             '{"format": 1}', "9" * 10_000, "{" + " " * MAX_METADATA_BYTES + "}"],
    ids=lambda text: text[:12],
)  # fmt: skip
def test_garbage_is_no_metadata(tmp_path: Path, text: str) -> None:
    (tmp_path / METADATA_NAME).write_text(text)
    assert read_metadata(tmp_path) is None
    assert update_usage(tmp_path, lambda usage: usage) is None
    assert (tmp_path / METADATA_NAME).read_text() == text


def test_bytes_that_are_no_text_are_no_metadata(tmp_path: Path) -> None:
    (tmp_path / METADATA_NAME).write_bytes(b"\xff\xfe{}\x80")
    assert read_metadata(tmp_path) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"format": 2}, {"repo": 3}, {"repo": None}, {"revision": ["x"]}, {"files": {}},
        {"files": None}, {"files": [3]}, {"downloaded_at": "today"}, {"downloaded_at": True},
        {"downloaded_at": float("nan")}, {"downloaded_at": 10**400}, {"downloaded_at": 1e300},
    ],
    ids=str,
)  # fmt: skip
def test_a_wrong_type_anywhere_is_no_metadata(tmp_path: Path, changes: dict[str, object]) -> None:
    raw = _raw(tmp_path)
    (tmp_path / METADATA_NAME).write_text(json.dumps({**raw, **changes}))
    assert read_metadata(tmp_path) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"path": "../evil"}, {"path": "/etc/passwd"}, {"path": "a/../../b"}, {"path": ""},
        {"path": "a\0b"}, {"path": "x" * 2_000}, {"path": 3}, {"path": "a//b"}, {"path": "./a"},
        {"size_bytes": -1}, {"size_bytes": 1.5}, {"size_bytes": True}, {"size_bytes": 10**30},
        {"sha256": "c" * 63}, {"sha256": "../../" + "c" * 58}, {"sha256": 7}, {"git_oid": "x" * 40},
    ],
    ids=lambda changes: str(changes)[:30],
)  # fmt: skip
def test_one_file_that_cannot_be_is_no_metadata(tmp_path: Path, changes: dict[str, object]) -> None:
    good = {"path": "config.json", "size_bytes": 7, "git_oid": None, "sha256": None}
    (tmp_path / METADATA_NAME).write_text(json.dumps({**_raw(tmp_path), "files": [good]}))
    assert read_metadata(tmp_path) is not None
    bad = [good, {**good, "path": "b", **changes}]
    (tmp_path / METADATA_NAME).write_text(json.dumps({**_raw(tmp_path), "files": bad}))
    assert read_metadata(tmp_path) is None


def test_one_path_named_twice_is_no_metadata(tmp_path: Path) -> None:
    write_metadata(tmp_path, replace(METADATA, files=(FILES[0], FILES[0])))
    assert read_metadata(tmp_path) is None


@pytest.mark.parametrize(
    "usage",
    [None, 3, [], {"times_used": -1}, {"times_used": "many", "last_used_at": "today"},
     {"decode_per_s": float("nan")}, {"measured_memory_bytes": 5}, {"measured_context_tokens": 5},
     {"last_used_at": float("inf"), "times_used": 10**400}],
    ids=str,
)  # fmt: skip
def test_strange_figures_of_use_do_not_cost_the_rest(tmp_path: Path, usage: object) -> None:
    (tmp_path / METADATA_NAME).write_text(json.dumps({**_raw(tmp_path), "usage": usage}))
    assert read_metadata(tmp_path) == replace(METADATA, usage=Usage())


def test_a_link_or_a_pipe_is_not_followed(tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "model"
    for made in (outside, folder):
        made.mkdir()
    write_metadata(outside, METADATA)
    (folder / METADATA_NAME).symlink_to(outside / METADATA_NAME)
    assert read_metadata(folder) is None
    write_metadata(folder, replace(METADATA, repo_id="org/other"))
    assert read_metadata(outside) == METADATA
    (folder / METADATA_NAME).unlink()
    os.mkfifo(folder / METADATA_NAME)
    assert read_metadata(folder) is None


def test_a_temporary_file_that_leads_outside_is_not_written_through(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / f"{METADATA_NAME}.{os.getpid()}.tmp").symlink_to(victim)
    with pytest.raises(OSError):
        write_metadata(folder, METADATA)
    assert victim.read_text() == "mine"


def test_a_write_that_fails_leaves_the_old_facts(tmp_path: Path) -> None:
    blocked = tmp_path / METADATA_NAME
    blocked.mkdir()
    with pytest.raises(OSError):
        write_metadata(tmp_path, METADATA)
    assert _names(tmp_path) == [METADATA_NAME] and blocked.is_dir()


def test_uses_noted_by_many_threads_are_all_counted(tmp_path: Path) -> None:
    write_metadata(tmp_path, replace(METADATA, usage=Usage()))
    wrong = []

    def note() -> None:
        for _ in range(20):
            update_usage(tmp_path, lambda usage: usage.after(5.0, None))
            if read_metadata(tmp_path) is None:
                wrong.append("torn")

    threads = [threading.Thread(target=note) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = read_metadata(tmp_path)
    assert found is not None and found.usage.times_used == 160 and not wrong
    assert found.files == FILES and _names(tmp_path) == [METADATA_NAME]


def test_a_use_of_the_old_version_is_not_written_into_the_new_one(tmp_path: Path) -> None:
    old, new = tmp_path / "model", tmp_path / "next"
    for folder in (old, new):
        folder.mkdir()
    write_metadata(old, METADATA)
    newer = METADATA.renewed("e" * 40, FILES[:1], 5.0)
    write_metadata(new, newer)

    def replaced_meanwhile(usage: Usage) -> Usage:
        old.rename(tmp_path / "trash")
        new.rename(old)
        return usage.after(6.0, None)

    update_usage(old, replaced_meanwhile)
    assert read_metadata(old) == newer


def test_an_update_keeps_the_use_but_not_what_was_measured() -> None:
    same = METADATA.renewed(METADATA.revision, FILES[:2], 5.0)
    assert same.usage == METADATA.usage and same.downloaded_at == 5.0 and same.files == FILES[:2]
    other = METADATA.renewed("e" * 40, FILES, 5.0)
    assert other.usage == Usage(1_700_000_001.0, 3) and other.revision == "e" * 40


@pytest.mark.parametrize("path", ["a", "a/b.txt", "tool use.jinja", "ä/ö", ".hidden", "..a"])
def test_a_path_inside_is_plain(path: str) -> None:
    assert is_plain_path(path)


@pytest.mark.parametrize("path", ["", "..", "../a", "a/..", "/a", "a\\..\\b", "a\nb", "a\0", "a/"])
def test_a_path_that_leads_out_is_not_plain(path: str) -> None:
    assert not is_plain_path(path)
