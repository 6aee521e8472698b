"""Server-sent events, of which OpenAI's API uses one line each: ``data: {...}``. Pure.

Whatever else a server sends between them is passed over.
"""

from collections.abc import Iterator

from engine.errors import RemoteBroken

MAX_LINE_BYTES = 1_000_000
_FIELD = b"data:"


class DataLines:
    """Finds the data in a stream of bytes that is cut anywhere."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> Iterator[str]:
        """Data of the lines that this piece ends. Raises RemoteBroken for a line without end."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        yield from filter(None, map(_data, lines))
        if len(self._rest) > MAX_LINE_BYTES:
            raise RemoteBroken(
                "The server's answer is no stream of events.", "Check its address in Manage."
            )

    def end(self) -> Iterator[str]:
        """Data of the last line, which may lack its end."""
        rest, self._rest = self._rest, b""
        yield from filter(None, [_data(rest)])


def _data(line: bytes) -> str:
    if not line.startswith(_FIELD):
        return ""
    return line[len(_FIELD) :].decode("utf-8", "replace").strip()
