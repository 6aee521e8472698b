"""The API key: one, kept by its owner alone, worth nothing once it is revoked."""

import os
import stat
from pathlib import Path

import pytest

from engine.api_key import ApiKey
from engine.log import redact
from engine.private_file import read_private, write_private


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_key_is_made_at_first_need_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "api_key"
    key = ApiKey(path).reveal()
    assert len(key) > 40 and ApiKey(path).reveal() == key
    assert _mode(path) == 0o600
    assert ApiKey(tmp_path / "other").reveal() != key


def test_before_there_is_a_key_nothing_matches(tmp_path: Path) -> None:
    key = ApiKey(tmp_path / "api_key")
    assert not any(map(key.matches, ("", "pomona-", "x")))
    assert list(tmp_path.iterdir()) == []


def test_a_new_key_ends_the_old_one_also_in_another_process(tmp_path: Path) -> None:
    here, elsewhere = ApiKey(tmp_path / "api_key"), ApiKey(tmp_path / "api_key")
    old = here.reveal()
    assert elsewhere.matches(old)
    new = elsewhere.renew()
    assert here.matches(new) and not here.matches(old)
    assert not here.matches(new + "x") and not here.matches("é" + new)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"something else", b"x" * 5000])
def test_a_spoiled_file_holds_no_key_and_gets_a_new_one(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "api_key"
    path.write_bytes(content)
    key = ApiKey(path)
    assert not key.matches(content.decode("latin-1"))
    assert key.matches(key.reveal())


def test_a_file_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "api_key"
    ApiKey(path).reveal()
    path.chmod(0o644)
    ApiKey(path).reveal()
    assert _mode(path) == 0o600


def test_where_the_disk_refuses_the_key_lasts_as_long_as_the_process(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    key = ApiKey(blocked / "api_key")
    assert key.matches(key.reveal())
    assert not key.matches(key.reveal()[:-1])


def test_logs_show_no_key(tmp_path: Path) -> None:
    key = ApiKey(tmp_path / "api_key").reveal()
    assert key not in redact(f"GET /v1?key={key} and {key}")


def test_a_private_file_is_whole_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    write_private(path, "old")
    write_private(path, "new")
    assert read_private(path, 10) == "new"
    assert _mode(path) == 0o600 and os.listdir(tmp_path) == ["secret"]
    with pytest.raises(ValueError, match="too large"):
        read_private(path, 2)
    assert read_private(tmp_path / "none", 10) is None
