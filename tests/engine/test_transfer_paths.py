"""Names that are not safe are refused before anything is written."""

from pathlib import Path

import pytest

from engine.errors import DownloadError
from engine.library.transfers import ModelTransfer, check_files
from engine.records import RepoFile
from tests.engine.transferring import LoopbackOrigin

UNSAFE = (
    "", "/", "/etc/passwd", "../evil", "a/../../evil", "a/..", "./a", "a//b", "a/", "..", ".",
    "a\0b", "a\nb", "a\x1b[2Jb", "a\u202eb", "a\ud800b", "a\\b", "..\\evil", "C:\\evil", "c:evil",
    "a" * 300, "ä" * 130, "a/" * 600 + "b", "con", "CON.json", "nul", "Lpt1.txt", "com\u00b9",
    "aux .json", "a.", "a ", " a", "a*", "a?", 'a"b', "a<b", "a|b",
    ".pomona.json", "x/.Pomona.json", ".downloads",
)  # fmt: skip
CLASHES = (
    ("a.json", "A.json"), ("a", "a"), ("straße", "STRASSE"), ("\u00e9", "e\u0301"), ("a", "a/b"),
    ("a/b", "a"), ("a/b", "A"), ("a/b", "A/c"), ("x/Y/z", "x/y/z2"),
)  # fmt: skip
SAFE = (
    "config.json", "model-00001-of-00002.safetensors", "a/b/c.txt", ".gitattributes", "..a", "a..b",
    "a" * 255, "ünïcode 模型.json", "console.json", "com.json", "a b.json", "1", "~", "-rf", "$(x)",
)  # fmt: skip


@pytest.mark.parametrize("name", UNSAFE)
def test_an_unsafe_name_is_refused_and_nothing_is_written(tmp_path: Path, name: str) -> None:
    files = [RepoFile("config.json", 2), RepoFile(name, 2)]
    origin = LoopbackOrigin("http://127.0.0.1:1")
    with pytest.raises(DownloadError) as raised:
        ModelTransfer(tmp_path / "job", "o/m", "0" * 40, files, origin).run()
    assert raised.value.message.isprintable()
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_refused_is_named() -> None:
    with pytest.raises(DownloadError, match="../evil"):
        check_files([RepoFile("../evil", 1)])


@pytest.mark.parametrize("names", CLASHES)
def test_names_that_are_one_on_some_disks_are_refused(names: tuple[str, str]) -> None:
    with pytest.raises(DownloadError):
        check_files([RepoFile(name, 1) for name in names])


def test_usual_and_odd_but_safe_names_are_allowed() -> None:
    check_files([RepoFile(name, 1) for name in SAFE])


def test_a_size_below_zero_is_refused() -> None:
    with pytest.raises(DownloadError):
        check_files([RepoFile("a", -1)])
