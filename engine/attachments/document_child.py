"""The text of a PDF or a Word document, taken out in a limited process of its own.

Run as a file: ``python document_child.py KIND PATH MAX_CHARS CPU_S``. It knows nothing of Pomona,
so that it starts fast. Standard output gets one JSON object: ``text``, or ``failure``, a word that
``engine.attachments.reader`` has a sentence for. Anything else, also a death, means a broken file.
"""

import contextlib
import json
import resource
import sys
import zipfile
from collections.abc import Iterator

import docx
import docx.document
import docx.table
import pypdf

MAX_MEMORY_BYTES = 1_500_000_000
MAX_PAGES = 2_000
MAX_UNPACKED_BYTES = 100_000_000
MAX_PARTS = 5_000
MAX_DEPTH = 8  # of tables within tables


class _Refused(Exception):
    """The file is understood, and not taken."""


def iter_pdf(path: str) -> Iterator[str]:
    """The text of each page."""
    reader = pypdf.PdfReader(path)
    if reader.is_encrypted and not _opens_without_password(reader):
        raise _Refused("password")
    if len(reader.pages) > MAX_PAGES:
        raise _Refused("pages")
    for page in reader.pages:
        yield page.extract_text() + "\n\n"


def _opens_without_password(reader: pypdf.PdfReader) -> bool:
    try:
        return bool(reader.decrypt(""))
    except pypdf.errors.DependencyError as error:
        raise _Refused("password") from error


def iter_docx(path: str) -> Iterator[str]:
    """The text of each paragraph, and of tables row by row."""
    with zipfile.ZipFile(path) as archive:
        parts = archive.infolist()
        if len(parts) > MAX_PARTS or sum(p.file_size for p in parts) > MAX_UNPACKED_BYTES:
            raise _Refused("bomb")
        if any(part.flag_bits & 1 for part in parts):
            raise _Refused("password")
    yield from _iter_body(docx.Document(path), 0)


def _iter_body(container: docx.document.Document | docx.table._Cell, depth: int) -> Iterator[str]:
    for part in container.iter_inner_content():
        if not isinstance(part, docx.table.Table):
            yield part.text + "\n"
        elif depth < MAX_DEPTH:
            for row in part.rows:
                cells = ("".join(_iter_body(cell, depth + 1)).strip() for cell in row.cells)
                yield " | ".join(cells) + "\n"


def read(kind: str, path: str, max_chars: int) -> dict[str, str]:
    """What standard output gets."""
    pieces: list[str] = []
    chars = 0
    try:
        for piece in (iter_pdf if kind == "pdf" else iter_docx)(path):
            chars += len(piece)
            pieces.append(piece)
            if chars > max_chars:
                return {"failure": "long"}
    except _Refused as refused:
        return {"failure": str(refused)}
    except MemoryError:
        return {"failure": "bomb"}
    return {"text": "".join(pieces)}


def main(kind: str, path: str, max_chars: str, cpu_s: str) -> None:
    """Limit this process, then read."""
    resource.setrlimit(resource.RLIMIT_CPU, (int(cpu_s), int(cpu_s) + 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    with contextlib.suppress(ValueError, OSError):  # macOS refuses to limit a process's memory
        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    sys.stdout.write(json.dumps(read(kind, path, int(max_chars))))


if __name__ == "__main__":
    main(*sys.argv[1:])
