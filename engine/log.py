"""Logging to a rotating file and standard error, with secrets left out."""

import logging
import logging.handlers
import re
from pathlib import Path

MAX_LOG_BYTES = 2_000_000
KEPT_LOGS = 3
_TOKEN = re.compile(
    r"(?<![A-Za-z0-9])(?:hf_(?:oauth|jwt|app)_[\w.=-]+|(?:hf|sk|api|api_org)_[A-Za-z0-9]{8,}"
    r"|sk-[\w-]{16,}|pomona-[\w-]{40,})"
    r"|(?i:(?<=bearer ))[^\s'\"]+|(?<=://)[^\s/@'\"]+:[^\s/@'\"]+(?=@)"
)


def redact(text: str) -> str:
    """``text`` without access tokens, and with the home folder as ``~``."""
    home = str(Path.home())
    cleaned = _TOKEN.sub("[hidden]", text)
    return re.sub(re.escape(home) + r"(?![\w.-])", "~", cleaned) if len(home) > 1 else cleaned


class RedactingFormatter(logging.Formatter):
    """Formats as usual, then redacts, tracebacks included."""

    def format(self, record: logging.LogRecord) -> str:
        """One record as redacted text."""
        return redact(super().format(record))


def set_up_logging(log_dir: Path) -> None:
    """Log warnings to standard error, everything from our code to ``log_dir/pomona.log``.

    Where the folder cannot be written, standard error alone is used.
    """
    layout = RedactingFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    screen = logging.StreamHandler()
    screen.setLevel(logging.WARNING)
    screen.setFormatter(layout)
    handlers: list[logging.Handler] = [screen]
    try:
        log_dir.mkdir(parents=True, exist_ok=True)
        file = logging.handlers.RotatingFileHandler(
            log_dir / "pomona.log", maxBytes=MAX_LOG_BYTES, backupCount=KEPT_LOGS, encoding="utf-8"
        )
        file.setFormatter(layout)
        handlers.append(file)
    except OSError as error:
        screen.handle(
            logging.LogRecord(
                "engine.log", logging.WARNING, "", 0, "no log file: %s", (error.strerror,), None
            )  # fmt: skip
        )
    logging.basicConfig(level=logging.WARNING, handlers=handlers, force=True)
    for name in ("app", "engine", "ui"):
        logging.getLogger(name).setLevel(logging.INFO)
