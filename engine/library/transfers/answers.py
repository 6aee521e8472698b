"""What a server's answer to a request for bytes means. Pure.

Three things can be wrong with an answer: it may get better by itself (TryAgain), it may be of
another version of the file (Changed), or the Hub means it (a HubError).
"""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass

from engine import hub_failures as failures
from engine.errors import EngineError, HubBroken, HubError
from engine.hub_failures import Subject
from engine.patience import parse_retry_after
from engine.records import RepoFile

MAX_ETAG_CHARS = 256
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")
_STRONG_ETAG = re.compile(r'"[\x21\x23-\x7e]*"')
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SPENT = re.compile(r"r=0;t=(\d{1,9})")
_DEFAULT_WAIT_S = 60.0

Headers = Mapping[str, str]


class TryAgain(Exception):
    """Another try may go better; ``error`` is what to say when none does.

    ``asked_s`` is the pause that the server wants, ``is_stall`` that it sent nothing for long,
    ``is_stale`` that an address which had been good is so no more.
    """

    def __init__(
        self,
        error: EngineError,
        *,
        asked_s: float | None = None,
        is_stall: bool = False,
        is_stale: bool = False,
    ) -> None:
        super().__init__(error.message)
        self.error = error
        self.asked_s = asked_s
        self.is_stall = is_stall
        self.is_stale = is_stale


class Changed(TryAgain):
    """The bytes on offer are not of the version that is here: the file must begin anew.

    ``is_whole_only``: the same version, but the server does not send parts of it.
    """

    def __init__(self, error: EngineError, is_whole_only: bool = False) -> None:
        super().__init__(error)
        self.is_whole_only = is_whole_only


@dataclass(frozen=True)
class Wanted:
    """Bytes ``start`` to ``end`` (not in it) of a file, of the version ``etag`` if one is known.

    ``is_careful`` after bytes that were wrong: nothing is done only because it is faster.
    """

    file: RepoFile
    start: int
    end: int
    etag: str | None = None
    is_careful: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether this is all of the file; no range is asked for then."""
        return self.start == 0 and self.end == self.file.size_bytes


def request_headers(wanted: Wanted) -> dict[str, str]:
    """What to ask with. Never an encoding: what comes must be the file's own bytes."""
    headers = {"accept-encoding": "identity"}
    if not wanted.is_whole:
        headers["range"] = f"bytes={wanted.start}-{wanted.end - 1}"
        if wanted.etag is not None:
            headers["if-range"] = wanted.etag
    return headers


def strong_etag(headers: Headers) -> str | None:
    """The version that bytes are of; None where the server does not say, or only about."""
    etag = headers.get("etag", "").strip()
    return etag if len(etag) <= MAX_ETAG_CHARS and _STRONG_ETAG.fullmatch(etag) else None


def check_bytes(status: int, headers: Headers, wanted: Wanted) -> None:
    """Whether a good answer holds the bytes that are wanted. Raises TryAgain or Changed."""
    name = failures.shown(wanted.file.path)
    if headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise TryAgain(failures.broken(f"sent “{name}” packed, which it was asked not to do"))
    etag = strong_etag(headers)
    if wanted.etag is not None and etag is not None and etag != wanted.etag:
        raise Changed(_other_version(name))
    if status == 206:
        _check_range(headers, wanted, name)
    elif status == 200 and wanted.is_whole:
        _check_length(headers, wanted, name)
    elif status == 200:
        # A server without If-Range says this of a new version too; it then has no ETag either.
        raise Changed(_other_version(name), is_whole_only=wanted.etag is None or etag is not None)
    elif status == 416:
        raise Changed(_other_version(name))
    else:
        raise TryAgain(failures.broken(f"gave an answer that is no file (status {status})"))


def _check_range(headers: Headers, wanted: Wanted, name: str) -> None:
    match = _CONTENT_RANGE.fullmatch(headers.get("content-range", "").strip())
    if match is None or wanted.is_whole:
        raise TryAgain(failures.broken(f"sent a part of “{name}” without saying which"))
    start, end = int(match[1]), int(match[2]) + 1
    if match[3] != "*" and int(match[3]) != wanted.file.size_bytes:
        raise Changed(_other_version(name))
    if start != wanted.start or not start < end <= wanted.end:
        raise TryAgain(failures.broken(f"sent another part of “{name}” than it was asked for"))
    if headers.get("content-length", str(end - start)).strip() != str(end - start):
        raise TryAgain(failures.broken(f"sent a part of “{name}” with a length that is wrong"))


def _check_length(headers: Headers, wanted: Wanted, name: str) -> None:
    length = headers.get("content-length", "").strip()
    if not length or length == str(wanted.file.size_bytes):
        return
    if headers.get("content-type", "").lower().startswith(("text/html", "application/xhtml")):
        raise TryAgain(failures.web_page_instead())
    raise TryAgain(failures.broken(f"sent “{name}” in another size than it lists"))


def check_commit(headers: Headers, revision: str, name: str) -> None:
    """Whether the Hub answers with the commit that was asked for. Raises TryAgain."""
    commit = headers.get("x-repo-commit", revision).strip()
    if commit != revision and _COMMIT.fullmatch(revision):
        raise TryAgain(_other_version(failures.shown(name)))


def refusal(status: int, headers: Headers, about: Subject, has_token: bool) -> HubError:
    """What an error status of the Hub itself means."""
    code = headers.get("x-error-code", "")
    said = headers.get("x-error-message", "").lower()
    if code == "GatedRepo":
        return failures.gated(about, has_token)
    if status == 403 and "disabled" in said:
        return failures.disabled(about)
    if code == "RevisionNotFound":
        return failures.no_version(about)
    if code == "EntryNotFound":
        return failures.no_file(about)
    if status == 401 and has_token and ("token" in said or "authoriz" in said):
        return failures.token_refused()
    if code == "RepoNotFound" or status in (401, 404):
        return failures.not_found(about, has_token)
    if status == 429:
        return failures.rate_limited(asked_wait_s(status, headers) or _DEFAULT_WAIT_S)
    return failures.refused(status)


def is_passing(status: int) -> bool:
    """Whether an error status is one that goes away by itself."""
    return status in (408, 425, 429) or (status >= 500 and status not in (501, 505))


def asked_wait_s(status: int, headers: Headers) -> float | None:
    """Seconds that the server wants us to wait, None where it does not say."""
    asked_s = parse_retry_after(headers.get("retry-after"), time.time())
    if asked_s is None and status == 429:
        spent = _SPENT.search(headers.get("ratelimit", ""))
        return float(spent[1]) if spent else None
    return asked_s


def _other_version(name: str) -> HubBroken:
    return failures.broken(f"has another “{name}” than this version of the model lists")
