"""The file of other servers, with their keys: for its owner's eyes alone."""

import dataclasses
import json
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

from engine.errors import InvalidSource
from engine.private_file import read_private, write_private
from engine.remote.checks import check_key, check_name, check_url, is_model_name
from engine.remote.records import RemoteSource

MAX_FILE_BYTES = 10_000_000
MAX_SOURCES = 20

logger = logging.getLogger(__name__)


def read_sources(path: Path) -> tuple[RemoteSource, ...]:
    """The servers that are kept; those that make no sense are left out, and the log says so."""
    try:
        value = json.loads(read_private(path, MAX_FILE_BYTES) or "[]")
    except (OSError, ValueError, RecursionError) as error:
        logger.warning("the list of other servers could not be read: %s", error)
        return ()
    found = {source.name: source for source in _sources(value)}
    return tuple(found.values())[:MAX_SOURCES]


def write_sources(path: Path, sources: Iterable[RemoteSource]) -> None:
    """Keep them. Raises OSError."""
    kept = [
        {name: value for name, value in dataclasses.asdict(source).items() if name != "problem"}
        for source in sources
    ]
    write_private(path, json.dumps(kept))


def _sources(value: object) -> Iterator[RemoteSource]:
    for one in value if isinstance(value, list) else ():
        if not isinstance(one, dict):
            continue
        name, url, key = (str(one.get(part, "")) for part in ("name", "url", "key"))
        try:
            yield RemoteSource(
                check_name(name), check_url(url), check_key(key),
                _names(one.get("named")), _names(one.get("models")),
            )  # fmt: skip
        except InvalidSource as error:
            logger.warning("one of the other servers is left out: %s", error)


def _names(value: object) -> tuple[str, ...]:
    return tuple(filter(is_model_name, value)) if isinstance(value, list) else ()
