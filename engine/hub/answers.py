"""What the Hub's answers must look like before anything is taken from them. Pure.

Whoever answers may be a mirror, a proxy's login page or somebody hostile: names and paths are
checked here, once, so that no other room sees one that leads out of its folder.
"""

import codecs
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.hub_failures import broken, shown, web_page_instead
from engine.records import RepoFile

MAX_NAME_CHARS = 96
MAX_PATH_CHARS = 1_000
_NAME = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9._-]*/)?[A-Za-z0-9_][A-Za-z0-9._-]*")
_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/+@-]{0,254}")
_SHA1 = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Answer:
    """A good answer. ``is_cut``: the body went on; ``next_query`` is empty on the last page."""

    body: bytes
    content_type: str = ""
    next_query: str = ""
    is_cut: bool = False


def is_repo_name(name: object) -> bool:
    """Whether this is ``name`` or ``owner/name`` as the Hub allows them; at most 96 characters."""
    return (
        isinstance(name, str)
        and len(name) <= MAX_NAME_CHARS
        and _NAME.fullmatch(name) is not None
        and not any(part.endswith((".", "-")) for part in name.split("/"))
        and ".." not in name
        and "--" not in name
        and not name.endswith(".git")
    )


def is_revision(revision: str) -> bool:
    """Whether this can be a branch, a tag or a commit."""
    return _REVISION.fullmatch(revision) is not None and ".." not in revision


def is_file_path(path: object) -> bool:
    """Whether this names a file inside a folder, whatever that folder is."""
    return (
        isinstance(path, str)
        and 0 < len(path) <= MAX_PATH_CHARS
        and path.isprintable()
        and "\\" not in path
        and not any(part in ("", ".", "..") for part in path.split("/"))
    )


def decode_json(answer: Answer) -> Any:
    """The JSON of an answer. Raises HubBroken for a web page or garbage."""
    if is_web_page(answer):
        raise web_page_instead()
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError) as error:
        raise broken("sent something that is not JSON") from error


def decode_text(answer: Answer) -> str:
    """A text file as UTF-8; a character that was cut in half at the end is dropped."""
    if is_web_page(answer):
        raise web_page_instead()
    decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
    return decoder.decode(answer.body, final=not answer.is_cut)


def is_web_page(answer: Answer) -> bool:
    """Whether somebody answered with a page for people. The Hub sends files as plain text."""
    return answer.content_type.lower().startswith(("text/html", "application/xhtml"))


def model_entries(page: Any) -> list[dict[str, Any]]:
    """Entries of one page of a listing; those without a usable name are left out.

    Raises HubBroken when the page is no list, or has entries and no usable one.
    """
    if not isinstance(page, list):
        raise broken("sent something that is not a list of models")
    entries = [entry for entry in page if isinstance(entry, dict) and is_repo_name(entry.get("id"))]
    if page and not entries:
        raise broken("sent a list without a single model name")
    return entries


def model_entry(raw: Any) -> tuple[dict[str, Any], str]:
    """A model's facts, and the commit that they are of (40 hex digits). Raises HubBroken."""
    if not isinstance(raw, dict) or not is_repo_name(raw.get("id")):
        raise broken("sent something that does not describe a model")
    commit = raw.get("sha")
    if not isinstance(commit, str) or not _SHA1.fullmatch(commit):
        raise broken("did not say which version of the model is the newest")
    return raw, commit


def repo_files(page: Any) -> list[RepoFile]:
    """The files on one page of a repo's tree; folders are left out. Raises HubBroken."""
    if not isinstance(page, list) or not all(isinstance(entry, dict) for entry in page):
        raise broken("sent something that is not a list of files")
    return [_repo_file(entry) for entry in page if entry.get("type") != "directory"]


def _repo_file(entry: Mapping[str, Any]) -> RepoFile:
    path, size_bytes, lfs = entry.get("path"), entry.get("size"), entry.get("lfs") or {}
    if not isinstance(path, str) or not is_file_path(path):
        raise broken(f"lists a file under a name that is not safe, “{shown(path)}”")
    if isinstance(lfs, dict) and "size" in lfs:
        size_bytes = lfs["size"]
    if not isinstance(size_bytes, int) or isinstance(size_bytes, bool) or size_bytes < 0:
        raise broken(f"does not tell the size of “{shown(path)}”")
    if not isinstance(lfs, dict):
        raise broken(f"does not tell the content of “{shown(path)}”")
    git_oid = _digest(entry.get("oid"), _SHA1, path)
    return RepoFile(path, size_bytes, git_oid, _digest(lfs.get("oid"), _SHA256, path))


def _digest(value: Any, form: re.Pattern[str], path: str) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not form.fullmatch(value):
        raise broken(f"sent a checksum of “{shown(path)}” that is none")
    return value
