"""Documents as people attach them, and as nobody should: written byte by byte where it matters."""

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

import docx
import pypdf

_DOCX_TYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
_OFFICE = "http://schemas.openxmlformats.org"
_CONTENT_TYPES = (
    f'<Types xmlns="{_OFFICE}/package/2006/content-types"><Default Extension="rels" ContentType='
    '"application/vnd.openxmlformats-package.relationships+xml"/><Override PartName='
    f'"/word/document.xml" ContentType="{_DOCX_TYPE}"/></Types>'
)
_RELATIONS = (
    f'<Relationships xmlns="{_OFFICE}/package/2006/relationships"><Relationship Id="r1" Type='
    f'"{_OFFICE}/officeDocument/2006/relationships/officeDocument" Target="word/document.xml"/>'
    "</Relationships>"
)


def pdf_bytes(pages: Sequence[str]) -> bytes:
    """A PDF with a line of text on each page; an empty one is a page with a drawing alone."""
    kids = " ".join(f"{4 + 2 * n} 0 R" for n in range(len(pages)))
    objects = [
        "<</Type/Catalog/Pages 2 0 R>>",
        f"<</Type/Pages/Count {len(pages)}/Kids[{kids}]>>",
        "<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>",
    ]
    for n, text in enumerate(pages):
        drawn = f"BT /F 12 Tf 72 720 Td ({text}) Tj ET" if text else "72 72 200 200 re f"
        objects.append(
            f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents {5 + 2 * n} 0 R"
            "/Resources<</Font<</F 3 0 R>>>>>>"
        )
        objects.append(f"<</Length {len(drawn)}>>stream\n{drawn}\nendstream")
    raw, offsets = b"%PDF-1.4\n", []
    chunks = [raw]
    at = len(raw)
    for number, body in enumerate(objects, start=1):
        chunk = f"{number} 0 obj{body}endobj\n".encode("cp1252")
        offsets.append(at)
        chunks.append(chunk)
        at += len(chunk)
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    size = len(objects) + 1
    chunks.append(
        f"xref\n0 {size}\n0000000000 65535 f \n{table}trailer<</Size {size}/Root 1 0 R>>\n"
        f"startxref\n{at}\n%%EOF".encode()
    )
    return b"".join(chunks)


def locked_pdf_bytes(text: str, password: str, needs_password: bool = True) -> bytes:
    """A PDF that opens with a password, or that only asks readers not to change it."""
    writer = pypdf.PdfWriter(io.BytesIO(pdf_bytes([text])))
    writer.encrypt(password if needs_password else "", password, algorithm="RC4-128")
    raw = io.BytesIO()
    writer.write(raw)
    return raw.getvalue()


def docx_bytes(paragraphs: Sequence[str], rows: Sequence[Sequence[str]] = ()) -> bytes:
    """A Word document with paragraphs and, behind them, a table."""
    document = docx.Document()
    for text in paragraphs:
        document.add_paragraph(text)
    if rows:
        table = document.add_table(len(rows), len(rows[0]))
        for row, texts in zip(table.rows, rows, strict=True):
            for cell, text in zip(row.cells, texts, strict=True):
                cell.text = text
    raw = io.BytesIO()
    document.save(raw)
    return raw.getvalue()


def write_docx_of(path: Path, document_xml: bytes) -> Path:
    """A Word document around any XML."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", _CONTENT_TYPES)
        archive.writestr("_rels/.rels", _RELATIONS)
        archive.writestr("word/document.xml", document_xml)
    return path
