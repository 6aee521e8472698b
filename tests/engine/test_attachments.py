"""Text comes out of the files that people attach, or a sentence that says why not."""

from pathlib import Path

import pytest

from engine.attachments import MAX_FILE_BYTES, estimate_tokens, read_attachment, reader
from engine.chats import MAX_TEXT_CHARS
from engine.errors import AttachmentError
from tests.engine.documents import docx_bytes, locked_pdf_bytes, pdf_bytes, write_docx_of

HELLO = "Grüße, 世界\nsecond line"
BOMB_XML = b"<w:document xmlns:w='x'>" + b"<a>" * 50_000_000


def put(folder: Path, name: str, raw: bytes) -> Path:
    path = folder / name
    path.write_bytes(raw)
    return path


def refused(path: Path) -> str:
    with pytest.raises(AttachmentError) as failed:
        read_attachment(path)
    assert failed.value.hint
    return failed.value.message


@pytest.mark.parametrize("encoding", ("utf-8", "utf-8-sig", "utf-16", "utf-32"))
def test_text_is_read_in_the_encoding_that_its_first_bytes_tell(
    tmp_path: Path, encoding: str
) -> None:
    read = read_attachment(put(tmp_path, "a.txt", HELLO.encode(encoding)))
    assert (read.name, read.text) == ("a.txt", HELLO) and read.tokens > 0


@pytest.mark.parametrize("encoding", ("utf-16-le", "utf-16-be", "cp1252"))
def test_text_without_a_mark_is_read_by_what_its_bytes_look_like(
    tmp_path: Path, encoding: str
) -> None:
    text = "Grüße aus München, und noch ein Satz."
    assert read_attachment(put(tmp_path, "a.md", text.encode(encoding))).text == text


@pytest.mark.parametrize("name", ("main.py", "data.csv", "Makefile", "page.html", "x.weird"))
def test_code_tables_and_unknown_suffixes_are_text_when_their_bytes_are(
    tmp_path: Path, name: str
) -> None:
    assert read_attachment(put(tmp_path, name, b"a,b\r\n1,2\r\n")).text == "a,b\n1,2"


def test_a_pdf_gives_the_text_of_its_pages_whatever_it_is_called(tmp_path: Path) -> None:
    raw = pdf_bytes(["The first page.", "The second page."])
    for name in ("a.pdf", "a.txt"):
        text = read_attachment(put(tmp_path, name, raw)).text
        assert text.index("The first page.") < text.index("The second page.")


def test_a_word_document_gives_its_paragraphs_and_tables_in_order(tmp_path: Path) -> None:
    raw = docx_bytes(["Grüße", "世界"], [["a", "b"], ["1", "2"]])
    assert read_attachment(put(tmp_path, "a.docx", raw)).text == "Grüße\n世界\na | b\n1 | 2"


def test_a_pdf_that_only_asks_not_to_be_changed_is_read(tmp_path: Path) -> None:
    raw = locked_pdf_bytes("Open to all", "secret", needs_password=False)
    assert "Open to all" in read_attachment(put(tmp_path, "a.pdf", raw)).text


@pytest.mark.parametrize(("name", "raw", "words"), (
    ("a.pdf", locked_pdf_bytes("hidden", "secret"), "locked with a password"),
    ("a.pdf", pdf_bytes([""] * 3), "only pictures of pages"),
    ("a.pdf", pdf_bytes(["x"] * 2_001), "more than 2,000 pages"),
    ("a.pdf", pdf_bytes(["x" * 90_000] * 4), "more than 300,000 characters"),
    ("a.pdf", pdf_bytes(["x"])[:200], "damaged"),
    ("a.pdf", b"%PDF-1.4 nothing", "damaged"),
    ("a.docx", docx_bytes(["x"])[:500], "damaged"),
    ("a.docx", docx_bytes([]), "no text in it"),
    ("a.txt", b"", "is empty"),
    ("a.txt", b" \n\n ", "is empty"),
    ("a.txt", b"some text\0\0\0 with NULs", "holds no text"),
    ("a.txt", bytes(range(256)) * 8, "holds no text"),
    ("a.txt", b"x" * (MAX_TEXT_CHARS + 1), "more than 300,000 characters"),
    ("a.png", b"\x89PNG\r\n\x1a\n\0\0\0", "is a picture"),
    ("a.xlsx", b"PK\x03\x04\0\0\0", "is a spreadsheet"),
    ("a.doc", b"\xd0\xcf\x11\xe0\0\0", "a document of another kind"),
    ("a.zip", b"PK\x03\x04\0\0\0", "is an archive"),
    ("big.txt", b"x" * 50_000_000, "has 50 MB; a file may have 20 MB"),
))  # fmt: skip
def test_a_file_without_text_to_take_is_refused_with_what_is_wrong(
    tmp_path: Path, name: str, raw: bytes, words: str
) -> None:
    message = refused(put(tmp_path, name, raw))
    assert words in message and f"“{name}”" in message


def test_a_document_that_unpacks_to_far_more_than_it_is_does_not_get_to_it(
    tmp_path: Path,
) -> None:
    path = write_docx_of(tmp_path / "bomb.docx", BOMB_XML)
    assert path.stat().st_size < 1_000_000
    assert "far more than a document should" in refused(path)


def test_entities_that_multiply_end_in_a_sentence(tmp_path: Path) -> None:
    lines = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
    xml = f'<!DOCTYPE x [<!ENTITY a0 "lol">{lines}]><x>&a9;</x>'
    assert "damaged" in refused(write_docx_of(tmp_path / "a.docx", xml.encode()))


def test_a_document_that_takes_too_long_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "CPU_S", 0.05)
    monkeypatch.setattr(reader, "_WAIT_FACTOR", 1)
    assert "takes too long" in refused(put(tmp_path, "a.pdf", pdf_bytes(["x"])))


def test_a_file_that_is_gone_is_a_sentence(tmp_path: Path) -> None:
    assert "could not be opened" in refused(tmp_path / "gone.txt")


def test_a_name_is_one_line_of_printable_characters(tmp_path: Path) -> None:
    path = put(tmp_path, "a.txt", b"x")
    shown = read_attachment(path, "../../<img src=x>\n\u202e\0" + "n" * 300 + ".txt").name
    assert shown.startswith("<img src=x>") and shown.endswith("n.txt")
    assert len(shown) <= 120 and shown.isprintable() and "/" not in shown


def test_the_largest_file_of_text_is_read(tmp_path: Path) -> None:
    assert MAX_FILE_BYTES > 4 * MAX_TEXT_CHARS
    text = "世" * MAX_TEXT_CHARS
    assert read_attachment(put(tmp_path, "a.txt", text.encode())).text == text


@pytest.mark.parametrize(("text", "low", "high"), (
    ("The quick brown fox jumps over the lazy dog. " * 100, 700, 1_300),
    ("def f(x):\n    return [y ** 2 for y in x if y]\n" * 100, 1_000, 2_600),
    ("世界" * 500, 500, 1_000), ("", 0, 0), ("a" * 400, 50, 110),
))  # fmt: skip
def test_a_guess_of_tokens_is_near_what_tokenizers_count(text: str, low: int, high: int) -> None:
    assert low <= estimate_tokens(text) <= high
