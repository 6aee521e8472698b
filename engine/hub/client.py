"""What can be asked of the Hub: listings, one repo with its files, and small files as text.

Names are checked before anything is sent, and answers before anything is taken from them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote, urlencode

from engine import hub_failures as failures
from engine.hub.answers import (
    decode_json,
    decode_text,
    is_file_path,
    is_repo_name,
    is_revision,
    model_entries,
    model_entry,
    repo_files,
)
from engine.hub.session import HubSession, Question
from engine.hub_failures import Subject
from engine.patience import Cancel, OnWait, Patience, never, quietly
from engine.records import RepoFile

PAGE_SIZE = 100
MAX_FILES = 20_000
MAX_TREE_PAGES = 100
MAX_SEARCH_CHARS = 200
FACTS = (
    "baseModels", "cardData", "config", "createdAt", "disabled", "downloads", "gated",
    "lastModified", "library_name", "likes", "pipeline_tag", "safetensors", "siblings", "tags",
    "trendingScore", "usedStorage",
)  # fmt: skip


class HubClient:
    """Asks the Hub, or the one that HF_ENDPOINT names; from any thread.

    ``environ`` None means this process's environment, with the login as huggingface_hub finds it;
    a mapping of one's own is read by the same rules. Every method raises Offline, RepoNotFound,
    Gated, RateLimited, HubBroken or a plain HubError, and Cancelled once ``cancel`` says so;
    ``on_wait`` is told each pause in seconds, with a sentence for the person.
    """

    def __init__(
        self, environ: Mapping[str, str] | None = None, *, patience: Patience | None = None
    ) -> None:
        self._session = HubSession(environ, patience or Patience())

    def close(self) -> None:
        """Close the connections; later requests raise HubError."""
        self._session.close()

    @property
    def endpoint(self) -> str:
        """The Hub's address, without a slash at its end."""
        return self._session.endpoint

    def headers(self) -> dict[str, str]:
        """Who we are, and the login, for the endpoint's own server alone.

        Raises Offline in offline mode, and HubError for a login that cannot be read.
        """
        return self._session.headers()

    def file_url(self, repo_id: str, revision: str, path: str) -> str:
        """Where a file of a repo is, or is redirected from. Raises RepoNotFound for bad names."""
        self._about(repo_id, revision, path or "/")
        return f"{self.endpoint}/{repo_id}/resolve/{_quoted(revision)}/{quote(path)}"

    def list_models(
        self,
        *,
        search: str = "",
        author: str = "",
        task: str = "",
        tags: Sequence[str] = (),
        sort: str = "",
        limit: int = 500,
        cancel: Cancel = never,
        on_wait: OnWait = quietly,
    ) -> list[dict[str, Any]]:
        """Facts of models as the Hub tells them: its JSON, with ``id`` and the keys of FACTS.

        ``task`` and ``sort`` are the Hub's words ("text-generation"; "downloads", "likes",
        "trendingScore", "lastModified", "createdAt"). Names are checked, other values are not.
        """
        asked = {"search": search, "author": author, "pipeline_tag": task, "sort": sort}
        params = [(name, _cleaned(text)) for name, text in asked.items() if _cleaned(text)]
        params += [("filter", _cleaned(tag)) for tag in tags if _cleaned(tag)]
        params += [("limit", str(min(limit, PAGE_SIZE))), *(("expand", fact) for fact in FACTS)]
        question = Question("/api/models", urlencode(params), Subject(), cancel, on_wait)
        found: dict[str, dict[str, Any]] = {}
        for page in self._pages(question) if limit > 0 else ():
            known = len(found)
            for entry in model_entries(page):
                found.setdefault(entry["id"], entry)
            if len(found) >= limit or len(found) == known:  # a Hub in circles brings nothing new
                break
        return list(found.values())[: max(0, limit)]

    def repo(
        self,
        repo_id: str,
        revision: str | None = None,
        *,
        cancel: Cancel = never,
        on_wait: OnWait = quietly,
    ) -> tuple[dict[str, Any], str, tuple[RepoFile, ...]]:
        """A model's facts, the commit that ``revision`` (None: the newest) is, and its files.

        Facts are as in list_models; ``id`` is the model's name of today if it was renamed.
        """
        about = self._about(repo_id, revision or "main")
        path = f"/api/models/{repo_id}" + (f"/revision/{_quoted(revision)}" if revision else "")
        query = urlencode([("expand", fact) for fact in (*FACTS, "sha")])
        question = Question(path, query, about, cancel, on_wait)
        facts, commit = model_entry(decode_json(self._session.get(question)))
        tree = replace(
            question, path=f"/api/models/{facts['id']}/tree/{commit}", query="recursive=true"
        )
        files: dict[str, RepoFile] = {}
        for page_number, page in enumerate(self._pages(tree), 1):
            files.update((file.path, file) for file in repo_files(page))
            if len(files) > MAX_FILES or page_number > MAX_TREE_PAGES:
                raise failures.broken(f"lists too many files in {repo_id}")
        return facts, commit, tuple(files.values())

    def newest_commit(self, repo_id: str, *, cancel: Cancel = never) -> str:
        """The commit that a model is at now, 40 hex digits."""
        about = self._about(repo_id, "main")
        question = Question(f"/api/models/{repo_id}", "expand=sha", about, cancel)
        return model_entry(decode_json(self._session.get(question)))[1]

    def read_text(
        self,
        repo_id: str,
        revision: str,
        path: str,
        max_bytes: int,
        *,
        truncate: bool = False,
        cancel: Cancel = never,
        on_wait: OnWait = quietly,
    ) -> str:
        """A small file as text. What is longer than ``max_bytes`` is cut, or raises HubBroken.

        Bytes that are not UTF-8 become replacement characters.
        """
        about = self._about(repo_id, revision, path or "/")
        url = self.file_url(repo_id, revision, path).removeprefix(self.endpoint)
        question = Question(url, "", about, cancel, on_wait, max_bytes, truncate)
        return decode_text(self._session.get(question))

    def _about(self, repo_id: str, revision: str, file: str = "") -> Subject:
        """The subject of a request. Raises RepoNotFound for names that cannot be."""
        if not is_repo_name(repo_id):
            raise failures.not_a_name(repo_id)
        page = f"{self._session.endpoint}/{repo_id}"
        about = Subject(repo_id, page if "@" not in page else "its page on the Hub", file)
        if not is_revision(revision):
            raise failures.no_version(about)
        if file and not is_file_path(file):
            raise failures.no_file(about)
        return about

    def _pages(self, question: Question) -> Iterator[Any]:
        """JSON of every page. The Link header gives the query alone, never another server."""
        while True:
            answer = self._session.get(question)
            yield decode_json(answer)
            if not answer.next_query:
                return
            question = replace(question, query=answer.next_query)


def _quoted(revision: str) -> str:
    return quote(revision, safe="")


def _cleaned(text: str) -> str:
    return "".join(char for char in text if char.isprintable())[:MAX_SEARCH_CHARS].strip()
