"""Plain text from bytes, whatever wrote them: UTF-8, UTF-16, or an old code page. Pure."""

import codecs

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_LOOKED_AT_BYTES = 4_096
_MANY_NULS = 0.35  # UTF-16 of Latin letters has a NUL in every second place
_MAX_CONTROL_SHARE = 0.01
_TEXT_CONTROLS = "\t\n\r\f\b\x1b"


def decode_text(raw: bytes) -> str | None:
    """The text that bytes hold, with plain line ends; None when they hold none.

    A byte-order mark decides; without one it is UTF-8, UTF-16 where its zeros show, and else
    Windows-1252, which old files of the West are in.
    """
    text = _decoded(raw)
    if text is None:
        return None
    text = text.replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff")
    strange = sum(text.count(c) for c in map(chr, range(32)) if c not in _TEXT_CONTROLS)
    if "\0" in text or strange > _MAX_CONTROL_SHARE * len(text):
        return None
    return "".join(c for c in text if c >= " " or c in "\t\n") if strange else text


def _decoded(raw: bytes) -> str | None:
    for mark, encoding in _MARKS:
        if raw.startswith(mark):
            return _try(raw, encoding)
    if (found := _utf16_without_mark(raw)) is not None:
        return _try(raw, found)
    text = _try(raw, "utf-8")
    if text is None and b"\0" not in raw:
        text = _try(raw, "cp1252")
    return text


def _utf16_without_mark(raw: bytes) -> str | None:
    head = raw[:_LOOKED_AT_BYTES]
    half = len(head) // 2
    if len(raw) % 2 or not half:
        return None
    first, second = (head[start::2].count(0) / half for start in (0, 1))
    if second > _MANY_NULS and first < second / 8:
        return "utf-16-le"
    return "utf-16-be" if first > _MANY_NULS and second < first / 8 else None


def _try(raw: bytes, encoding: str) -> str | None:
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError:
        return None
