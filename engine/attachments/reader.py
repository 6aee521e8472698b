"""A file that somebody attaches, read: what it is, its text, or a sentence why there is none.

Its bytes say what it is, not its name. PDF and Word documents are parsed in a child process with
little time and memory, because such files can be made to take any amount of both.
"""

import json
import logging
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Literal

from engine.attachments.plain import decode_text
from engine.attachments.tokens import estimate_tokens
from engine.chats.attached import MAX_TEXT_CHARS, Attachment, plain_name
from engine.errors import AttachmentError

MAX_FILE_BYTES = 20_000_000
CPU_S = 20
_WAIT_FACTOR = 2  # wall clock to processor time, on a computer that is busy
_CHILD = Path(__file__).with_name("document_child.py")
_PDF_MARK, _PDF_MARK_WITHIN = b"%PDF-", 1_024
_MAX_CHARS_BYTES = 4  # of one character, in any encoding that is read

_PART = "Attach the part that matters, as a file of its own."
_FAILURES = {
    "password": ("is locked with a password.", "Save it without one, and attach that."),
    "pages": ("has more than 2,000 pages.", _PART),
    "bomb": ("unpacks to far more than a document should.", "Save it anew as plain text."),
    "long": (f"holds more than {MAX_TEXT_CHARS:,} characters of text.", _PART),
    "slow": ("takes too long to read.", "Save its text as .txt, and attach that."),
    "broken": ("could not be read: the file is damaged.", "Save it anew, and attach that."),
}
_NO_TEXT = {
    "pdf": ("has no text in it, only pictures of pages.", "Put it through text recognition first."),
    "docx": ("has no text in it.", "Choose another file."),
}
_WHAT_ELSE = "Text, code, .csv, .md, .pdf and .docx can be attached."
_OTHERS = {
    "a picture": ("png", "jpg", "jpeg", "gif", "webp", "bmp", "tif", "tiff", "heic", "avif"),
    "sound or film": ("mp3", "wav", "flac", "ogg", "m4a", "mp4", "mov", "mkv", "webm", "avi"),
    "a spreadsheet": ("xls", "xlsx", "ods", "numbers"),
    "a presentation": ("ppt", "pptx", "odp", "key"),
    "an archive": ("zip", "gz", "tgz", "tar", "7z", "rar", "bz2", "xz", "zst", "epub"),
    "a document of another kind": ("doc", "rtf", "odt", "pages"),
}
_HINTS = {
    "a picture": "The models that Pomona runs read text alone.",
    "a spreadsheet": "Save the sheet as .csv, and attach that.",
    "a document of another kind": "Save it as .docx, .pdf or .txt, and attach that.",
    "an archive": "Unpack it, and attach the files that matter.",
}
logger = logging.getLogger(__name__)


def read_attachment(path: Path, name: str = "") -> Attachment:
    """The text of a file, under a name that can be shown. Raises AttachmentError."""
    shown = plain_name(name or path.name)
    try:
        size_bytes = path.stat().st_size
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        raise _failed(shown, "could not be opened.", "Choose it again.") from error
    if len(raw) > MAX_FILE_BYTES:
        raise too_large(shown, max(size_bytes, len(raw)))
    kind = _kind_of(path, raw)
    text = _plain(shown, raw) if kind == "text" else _document(shown, path, kind)
    if not text.strip():
        raise _failed(shown, *_NO_TEXT.get(kind, ("is empty.", "Choose another file.")))
    text = text.strip("\n")
    return Attachment(shown, text, estimate_tokens(text))


def too_large(name: str, size_bytes: int) -> AttachmentError:
    """The error of a file that nobody will read."""
    size, most = size_bytes / 1e6, MAX_FILE_BYTES / 1e6
    what = f"has {size:,.0f} MB; a file may have {most:,.0f} MB."
    return _failed(plain_name(name), what, _PART)


def _kind_of(path: Path, raw: bytes) -> Literal["pdf", "docx", "text"]:
    if _PDF_MARK in raw[:_PDF_MARK_WITHIN]:
        return "pdf"
    if raw.startswith(b"PK\x03\x04"):
        try:
            with zipfile.ZipFile(path) as archive:
                if "word/document.xml" in archive.namelist():
                    return "docx"
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
            return "docx" if path.suffix.lower() == ".docx" else "text"
    return "text"


def _plain(shown: str, raw: bytes) -> str:
    if len(raw) > _MAX_CHARS_BYTES * MAX_TEXT_CHARS and b"\0" not in raw[:_PDF_MARK_WITHIN]:
        raise _failed(shown, *_FAILURES["long"])
    text = decode_text(raw)
    if text is None:
        raise _no_text(shown)
    if len(text) > MAX_TEXT_CHARS:
        raise _failed(shown, *_FAILURES["long"])
    return text


def _no_text(shown: str) -> AttachmentError:
    """The error of a file that is something else, or pretends to be text."""
    suffix = shown.rpartition(".")[2].lower()
    for what, suffixes in _OTHERS.items():
        if suffix in suffixes:
            return _failed(shown, f"is {what}, not text.", _HINTS.get(what, _WHAT_ELSE))
    return _failed(shown, "holds no text.", _WHAT_ELSE)


def _document(shown: str, path: Path, kind: str) -> str:
    """The text of a document, from a process that may use little. Raises AttachmentError."""
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-W", "ignore", str(_CHILD), kind, str(path.absolute()),
             str(MAX_TEXT_CHARS), str(CPU_S)],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=_WAIT_FACTOR * CPU_S,
            check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise _failed(shown, *_FAILURES["slow"]) from error
    if done.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        raise _failed(shown, *_FAILURES["slow"])
    try:
        told = json.loads(done.stdout)
        text = str(told.get("text", ""))
    except (ValueError, AttributeError) as error:
        last = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        logger.warning("a %s could not be parsed (%s): %s", kind, done.returncode, last[:300])
        raise _failed(shown, *_FAILURES["broken"]) from error
    if failure := told.get("failure"):
        raise _failed(shown, *_FAILURES.get(failure, _FAILURES["broken"]))
    return _printable(text)


def _printable(text: str) -> str:
    """Without the controls and halves of characters that broken fonts leave behind."""
    kept = "".join(c for c in text if c in "\n\t" or (c >= " " and not "\ud800" <= c <= "\udfff"))
    return "\n".join(line.rstrip() for line in kept.split("\n"))


def _failed(shown: str, what: str, hint: str) -> AttachmentError:
    return AttachmentError(f"“{shown}” {what}", hint)
