"""A journal says what is on disk, outlives its writer, and is not believed where it is garbage."""

import errno
import json
import os
import random
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.library.transfers import present_bytes
from engine.library.transfers.file_transfer import FileTransfer
from engine.library.transfers.journal import (
    BALLAST_NAME,
    COMPACT_BYTES,
    JOURNAL_NAME,
    Journal,
    Synced,
    read_journal,
)
from engine.library.transfers.progress import Meter
from engine.records import RepoFile

FILE = RepoFile("model.safetensors", 1000, None, "a" * 64)
OTHER = RepoFile("config.json", 10, "b" * 40)
NAMELESS = RepoFile("x.bin", 5)
COMMIT = "c" * 40
GARBAGE = (
    b"\0\0\0\0\n", b"null\n", b"{}\n", b"[]\n", b"12\n", b'"file"\n', b'["have",0,-5,10]\n',
    b'["have",0,10,5]\n', b'["have",0,0,"9"]\n', b'["have",0,true,9]\n', b'["have",99,0,9]\n',
    b'["have",[],0,9]\n', b'["have",0]\n', b'["whole",0,1.5]\n', b'["etag",0,7]\n',
    b'["file",0,7,"x"]\n', b'["what",0]\n', b"[" * 100_000 + b"\n", b"\xff\xfe\n",
    b'["have",0,0,90',
    b'["have",0,0,90]', b"[[1],2]\n",
)  # fmt: skip


def written(folder: Path) -> Path:
    """A journal with ranges of one file and another that is whole."""
    journal = Journal(folder, COMMIT)
    number = journal.begin(FILE)
    journal.set_etag(FILE.path, '"v1"')
    journal.record([Synced(FILE, number, ((0, 100), (200, 300)))])
    journal.record([Synced(OTHER, journal.begin(OTHER), ((0, 10),), mtime_ns=77)])
    journal.close()
    return folder / JOURNAL_NAME


def known(folder: Path) -> dict[str, tuple[str | None, list[tuple[int, int]], int | None]]:
    entries = read_journal(folder).entries
    return {path: (e.etag, list(e.present), e.mtime_ns) for path, e in entries.items()}


KNOWN = {
    FILE.path: ('"v1"', [(0, 100), (200, 300)], None),
    OTHER.path: (None, [(0, 10)], 77),
}


def test_what_was_recorded_is_read_again(tmp_path: Path) -> None:
    written(tmp_path)
    assert known(tmp_path) == KNOWN
    journal = Journal(tmp_path, COMMIT)
    entry = journal.entry(FILE)
    assert entry is not None and list(entry.present) == [(0, 100), (200, 300)]
    journal.close()
    assert known(tmp_path) == KNOWN


def test_nothing_is_claimed_of_a_file_that_was_thrown_away(tmp_path: Path) -> None:
    journal = Journal(tmp_path, COMMIT)
    transfer = FileTransfer(FILE, tmp_path / "files", journal, Meter(FILE.size_bytes, 10.0))
    transfer.path.parent.mkdir()
    transfer.begin()
    entry = journal.entry(FILE)
    assert entry is not None
    synced = Synced(FILE, entry.number, ((0, 100),))
    journal.record([synced])
    transfer.discard()
    assert not transfer.path.exists() and known(tmp_path)[FILE.path][1] == []
    journal.record([synced])  # it was on its way already
    assert known(tmp_path)[FILE.path][1] == []
    transfer.close()
    journal.close()


@pytest.mark.parametrize("garbage", GARBAGE)
def test_garbage_at_the_end_is_ignored_and_written_over(tmp_path: Path, garbage: bytes) -> None:
    path = written(tmp_path)
    with open(path, "ab") as stream:
        stream.write(garbage + b'["have",0,500,600]\n')
    before = {**KNOWN}
    assert known(tmp_path) == before
    journal = Journal(tmp_path, COMMIT)
    entry = journal.entry(FILE)
    assert entry is not None
    journal.record([Synced(FILE, entry.number, ((300, 400),))])
    journal.close()
    assert known(tmp_path)[FILE.path] == ('"v1"', [(0, 100), (200, 400)], None)


def test_every_beginning_of_a_journal_can_be_read(tmp_path: Path) -> None:
    path = written(tmp_path)
    raw = path.read_bytes()
    for length in range(len(raw)):
        path.write_bytes(raw[:length])
        for name, (etag, ranges, mtime_ns) in known(tmp_path).items():
            assert name in KNOWN
            assert etag in (None, KNOWN[name][0])
            assert set(ranges) <= set(KNOWN[name][1])
            assert mtime_ns in (None, KNOWN[name][2])


def test_a_flipped_bit_never_makes_it_fail(tmp_path: Path) -> None:
    path = written(tmp_path)
    raw, draw = path.read_bytes(), random.Random(3)
    for _ in range(400):
        spoiled = bytearray(raw)
        spoiled[draw.randrange(len(raw))] ^= 1 << draw.randrange(8)
        path.write_bytes(spoiled)
        assert 0 <= present_bytes(tmp_path, [FILE, OTHER]) <= 1010
        Journal(tmp_path, COMMIT).close()


def test_a_journal_of_another_program_is_not_believed(tmp_path: Path) -> None:
    (tmp_path / JOURNAL_NAME).write_bytes(b'{"some": "json"}\n["file",0,"a","1:x"]\n')
    assert known(tmp_path) == {}
    written(tmp_path)
    assert known(tmp_path) == KNOWN


def test_a_file_of_another_content_is_not_known(tmp_path: Path) -> None:
    written(tmp_path)
    journal = Journal(tmp_path, COMMIT)
    assert journal.entry(RepoFile(FILE.path, 1000, None, "f" * 64)) is None
    assert journal.entry(RepoFile(FILE.path, 999, None, "a" * 64)) is None
    journal.close()


def test_a_file_without_a_hash_is_known_at_its_own_commit_only(tmp_path: Path) -> None:
    journal = Journal(tmp_path, COMMIT)
    journal.record([Synced(NAMELESS, journal.begin(NAMELESS), ((0, 5),))])
    journal.close()
    same = Journal(tmp_path, COMMIT)
    assert same.entry(NAMELESS) is not None
    same.close()
    other = Journal(tmp_path, "d" * 40)
    assert other.entry(NAMELESS) is None
    other.close()


def test_news_of_a_file_that_began_anew_are_dropped(tmp_path: Path) -> None:
    journal = Journal(tmp_path, COMMIT)
    old = journal.begin(FILE)
    journal.begin(FILE)
    journal.record([Synced(FILE, old, ((0, 1000),), mtime_ns=5)])
    journal.close()
    assert known(tmp_path) == {FILE.path: (None, [], None)}


def test_a_long_journal_is_shortened_and_loses_nothing(tmp_path: Path) -> None:
    journal = Journal(tmp_path, COMMIT)
    number = journal.begin(FILE)
    for start in range(0, 1000, 2):
        journal.record([Synced(FILE, number, ((start, start + 1),) * 300)])
    journal.close()
    assert (tmp_path / JOURNAL_NAME).stat().st_size < COMPACT_BYTES
    assert known(tmp_path)[FILE.path][1] == [(start, start + 1) for start in range(0, 1000, 2)]


def test_threads_record_without_losing_a_line(tmp_path: Path) -> None:
    journal = Journal(tmp_path, COMMIT)
    files = [RepoFile(f"{n}.safetensors", 1000, None, "a" * 64) for n in range(4)]

    def write(file: RepoFile) -> None:
        number = journal.begin(file)
        for start in range(0, 1000, 10):
            journal.record([Synced(file, number, ((start, start + 10),))])

    threads = [threading.Thread(target=write, args=(file,)) for file in files]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.close()
    assert known(tmp_path) == {file.path: (None, [(0, 1000)], None) for file in files}


class FullDisk:
    """Stands for a disk that takes no more until the ballast is gone, or for ever."""

    def __init__(self, is_full: Callable[[], bool], pwrite: Callable[..., int]) -> None:
        self.is_full = is_full
        self.pwrite = pwrite

    def __call__(self, file_fd: int, data: bytes, at: int) -> int:
        if not self.is_full():
            return self.pwrite(file_fd, data, at)
        if len(data) > 4:
            return self.pwrite(file_fd, data[: len(data) // 2], at)  # a full disk takes a little
        raise OSError(errno.ENOSPC, "no space")


def test_on_a_full_disk_the_ballast_makes_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path, COMMIT)
    number = journal.begin(FILE)
    assert (tmp_path / BALLAST_NAME).stat().st_size > 0
    monkeypatch.setattr(os, "pwrite", FullDisk((tmp_path / BALLAST_NAME).exists, os.pwrite))
    journal.record([Synced(FILE, number, ((0, 1000),))])
    journal.close()
    assert known(tmp_path)[FILE.path][1] == [(0, 1000)]


def test_on_a_disk_that_stays_full_no_half_line_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path)
    journal = Journal(tmp_path, COMMIT)
    entry = journal.entry(FILE)
    assert entry is not None
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", FullDisk(lambda: True, os.pwrite))
        with pytest.raises(OSError):
            journal.record([Synced(FILE, entry.number, ((0, 1000),))])
    journal.close()
    assert [json.loads(line) for line in (tmp_path / JOURNAL_NAME).read_text().splitlines()]
    assert known(tmp_path) == KNOWN
