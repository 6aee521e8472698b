"""Neither a token nor the home folder reaches a log, by message or by traceback."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from engine.log import RedactingFormatter, redact

SECRETS = [
    "hf_" + "a1B2" * 8,
    "hf_oauth_eyJhbGciOi.J9.abc-def_x",
    "api_org_" + "Zz9" * 10,
    "sk_" + "live" * 5,
]
SCRIPT = """
import logging, sys
from pathlib import Path
from engine.log import set_up_logging
set_up_logging(Path(sys.argv[1]))
log = logging.getLogger("engine.test")
log.info("quiet %s", "hf_" + "a" * 30)
try:
    raise OSError(f"no file {Path.home()}/models, hf_{'b' * 30}")
except OSError:
    log.exception("loud")
"""


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("around", ["{}", "token={}&x=1", "'{}'", "https://u:{}@host/x", "{}_file"])
def test_a_token_is_hidden(secret: str, around: str) -> None:
    shown = redact(around.format(secret))
    assert secret not in shown
    assert secret[-12:] not in shown


@pytest.mark.parametrize("word", ["Bearer", "bearer", "BEARER"])
def test_what_a_bearer_carries_is_hidden(word: str) -> None:
    assert redact(f"Authorization: {word} any.thing-at/all'") == f"Authorization: {word} [hidden]'"


def test_a_password_in_an_address_is_hidden() -> None:
    assert redact("GET https://ada:enigma1815@host/x") == "GET https://[hidden]@host/x"


@pytest.mark.parametrize("text", ["hf_hub_download", "hf_cache_dir", "Bearer", "a_hf_b", "sk_a"])
def test_ordinary_words_stay(text: str) -> None:
    assert redact(text) == text


def test_the_home_folder_becomes_a_tilde() -> None:
    home = str(Path.home())
    assert redact(f"{home}/models and {home}") == "~/models and ~"
    assert redact(f"{home}work/x") == f"{home}work/x"


def test_a_traceback_is_redacted_too() -> None:
    try:
        raise ValueError(f"{Path.home()}/x " + SECRETS[0])
    except ValueError as error:
        info = (type(error), error, error.__traceback__)
    record = logging.LogRecord("engine", logging.ERROR, "", 1, "failed", (), info)
    shown = RedactingFormatter("%(message)s").format(record)
    assert "ValueError" in shown
    assert SECRETS[0] not in shown
    assert f"{Path.home()}/x" not in shown


def _run(log_dir: Path) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).resolve().parents[2]
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, str(log_dir)],
        cwd=root, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip


def test_the_file_has_everything_and_the_screen_has_warnings(tmp_path: Path) -> None:
    screen = _run(tmp_path / "logs").stderr
    written = (tmp_path / "logs" / "pomona.log").read_text(encoding="utf-8")
    assert "quiet" in written and "quiet" not in screen
    assert "loud" in written and "loud" in screen
    for text in (written, screen):
        assert "aaaaaaaa" not in text and "bbbbbbbb" not in text
        assert f"{Path.home()}/models" not in text


def test_a_folder_that_cannot_be_written_leaves_the_screen(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "no log file" in _run(tmp_path / "file" / "logs").stderr
