"""A Hub on 127.0.0.1 that answers as the real one does, remembers what was asked, and can fail.

::

    with LoopbackHub() as hub:
        hub.add_model("mlx-community/tiny", {"config.json": b"{}"}, downloads=7)
        hub.fault("/api/models", status=503, times=1)
        ...  # HF_ENDPOINT=hub.url
        assert hub.requests[0].path == "/api/models"

Weights (``*.safetensors``, ``*.gguf``, ``*.bin``) are stored as LFS and served by a second server,
as a CDN does; other files come from /api/resolve-cache. Both know ranges and If-Range. What it
does not know: Xet, commits, and anything that writes. Large files may be memoryviews: they are
hashed once, and sent without a copy.
"""

import base64
import hashlib
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote, urlencode

from tests.loopback_server import Fault, Recorded, Reply, Server

Content = bytes | memoryview
LFS_SUFFIXES = (".safetensors", ".gguf", ".bin")
PAGE_SIZE = 100
EXPANDABLE = frozenset(
    "author baseModels cardData config createdAt disabled downloads downloadsAllTime gated gguf "
    "inference lastModified library_name likes model-index pipeline_tag private safetensors sha "
    "siblings spaces tags transformersInfo trendingScore usedStorage widgetData".split()
)
USUAL_FACTS: Mapping[str, Any] = {
    "private": False, "gated": False, "disabled": False, "downloads": 0, "likes": 0,
    "trendingScore": 0, "tags": ["mlx", "safetensors"], "library_name": "mlx",
    "pipeline_tag": "text-generation", "createdAt": "2026-01-01T00:00:00.000Z",
    "lastModified": "2026-01-02T00:00:00.000Z",
}  # fmt: skip
LISTED = ("private", "downloads", "likes", "trendingScore", "tags", "library_name",
          "pipeline_tag", "createdAt")  # fmt: skip


@dataclass
class HubModel:
    """One repo: its facts, and the files of every commit, the newest last."""

    repo_id: str
    facts: dict[str, Any]
    commits: dict[str, dict[str, Content]] = field(default_factory=dict)
    granted: tuple[str, ...] = ()

    @property
    def newest(self) -> str:
        return list(self.commits)[-1]


class LoopbackHub:
    """The server. ``tokens`` are logins it knows; any other token is refused as the Hub does.

    ``page_size`` is the most that one page of a listing or of a tree holds.
    """

    def __init__(self, tokens: tuple[str, ...] = (), page_size: int = PAGE_SIZE) -> None:
        self.tokens = tokens
        self.page_size = page_size
        self.models: dict[str, HubModel] = {}
        self.renames: dict[str, str] = {}
        self.requests: list[Recorded] = []
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self._api = Server(self._answer_api, self._take_fault, self.requests)
        self._cdn = Server(self._answer_cdn, self._take_fault, self.requests, is_cdn=True)

    def __enter__(self) -> "LoopbackHub":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop both servers."""
        self._api.stop()
        self._cdn.stop()

    @property
    def url(self) -> str:
        """What HF_ENDPOINT is to be set to."""
        return self._api.url

    @property
    def cdn_url(self) -> str:
        """Where LFS files are redirected to: another origin."""
        return self._cdn.url

    def add_model(
        self, repo_id: str, files: Mapping[str, Content] = {}, *, granted: tuple[str, ...] = (),
        **facts: Any,
    ) -> str:  # fmt: skip
        """Add a model, or a commit to one; returns the commit. ``facts`` have the Hub's names.

        With ``gated="auto"`` only the tokens in ``granted`` may read files; with ``private=True``
        nobody else learns of it.
        """
        usual = {**USUAL_FACTS, "author": repo_id.split("/")[0]}
        model = self.models.setdefault(repo_id, HubModel(repo_id, usual))
        model.facts |= facts
        model.granted += granted
        content = b"".join(n.encode() + sha256(files[n]).encode() for n in sorted(files))
        commit = hashlib.sha1(repo_id.encode() + bytes([len(model.commits)]) + content).hexdigest()
        model.commits[commit] = dict(files)
        return commit

    def rename(self, old_id: str, new_id: str) -> None:
        """Give a model another name; the old one is redirected."""
        model = self.models.pop(old_id)
        model.repo_id = new_id
        self.models[new_id] = model
        self.renames[old_id] = new_id

    def fault(self, path: str, *, times: int | None = 1, **how: Any) -> None:
        """Answer wrongly, the next ``times`` (None: always) that ``path`` is asked for.

        ``path`` is the beginning of a path, without the query. ``how`` is as in Fault. The fault
        that was added first is used first.
        """
        with self._lock:
            self._faults.append(Fault(path, times=times, **how))

    def clear(self) -> None:
        """Forget faults and requests."""
        with self._lock:
            self._faults.clear()
            self.requests.clear()

    def _take_fault(self, path: str) -> Fault | None:
        with self._lock:
            for fault in self._faults:
                if path.startswith(fault.path) and fault.times != 0:
                    if fault.skip > 0:
                        fault.skip -= 1
                        continue
                    fault.times = None if fault.times is None else fault.times - 1
                    return fault
        return None

    def _answer_api(self, request: Recorded) -> Reply:
        reply = self._route(request)
        reply.headers.setdefault("ratelimit", '"api";r=499;t=295')
        reply.headers.setdefault("ratelimit-policy", '"fixed window";"api";q=500;w=300')
        return reply

    def _route(self, request: Recorded) -> Reply:
        parts = [unquote(part) for part in request.path.strip("/").split("/")]
        if parts[:2] == ["api", "models"]:
            return self._list(request) if len(parts) == 2 else self._model(request, parts[2:])
        if parts[:3] == ["api", "resolve-cache", "models"] and len(parts) > 6:
            return self._small_file(parts[3] + "/" + parts[4], parts[5], "/".join(parts[6:]))
        if "resolve" in parts[1:3]:
            at = parts.index("resolve")
            path = "/".join(parts[at + 2 :])
            return self._resolve(request, "/".join(parts[:at]), parts[at + 1], path)
        return error(404, "Sorry, we can't find the page you are looking for.")

    def _list(self, request: Recorded) -> Reply:
        if self._is_bad_token(request):
            return error(401, "Invalid credentials in Authorization header")
        query = {name.removesuffix("[]"): values for name, values in request.query.items()}
        if wrong := set(query.get("expand", ())) - EXPANDABLE:
            return error(400, f'"expand" must be one of the known properties, not {sorted(wrong)}')
        found = [model for model in self.models.values() if self._is_listed(model, query, request)]
        order = query.get("sort", ["trendingScore"])[0]
        found.sort(key=lambda model: model.facts.get(order) or 0, reverse=True)
        size = min(int(query.get("limit", ["1000"])[0]), self.page_size)
        start = _cursor_offset(query)
        entries = [self._entry(m, query.get("expand"), LISTED) for m in found[start : start + size]]
        return self._page(request, entries, start + size if start + size < len(found) else None)

    def _is_listed(self, model: HubModel, query: dict[str, list[str]], request: Recorded) -> bool:
        facts = model.facts
        labels = {*facts["tags"], facts["pipeline_tag"], facts["library_name"]}
        return (
            (not facts["private"] or request.token in model.granted)
            and all(text.lower() in model.repo_id.lower() for text in query.get("search", ()))
            and all(name == facts["author"] for name in query.get("author", ()))
            and all(name == facts["pipeline_tag"] for name in query.get("pipeline_tag", ()))
            and all(tag in labels for tag in query.get("filter", ()))
        )

    def _entry(
        self, model: HubModel, expand: list[str] | None, usual: tuple[str, ...] | None
    ) -> dict[str, Any]:
        """With ``expand`` exactly those facts that are known, otherwise the ``usual`` or all."""
        siblings = [{"rfilename": name} for name in model.commits[model.newest]]
        facts = {**model.facts, "sha": model.newest, "siblings": siblings}
        names = expand or usual or tuple(facts)
        entry = {"_id": hashlib.md5(model.repo_id.encode()).hexdigest()[:24], "id": model.repo_id}
        entry |= {name: facts[name] for name in names if name in facts}
        return entry if expand else entry | {"modelId": model.repo_id}

    def _page(self, request: Recorded, entries: list[Any], next_start: int | None) -> Reply:
        reply = Reply(200, json.dumps(entries).encode(), {"content-type": "application/json"})
        if next_start is not None:
            cursor = base64.urlsafe_b64encode(str(next_start).encode()).decode()
            query = urlencode({**request.query, "cursor": cursor}, doseq=True)
            reply.headers["link"] = f'<{self.url}{request.path}?{query}>; rel="next"'
        return reply

    def _model(self, request: Recorded, parts: list[str]) -> Reply:
        cut = next((i for i, part in enumerate(parts) if part in ("revision", "tree")), len(parts))
        repo_id, action = "/".join(parts[:cut]), parts[cut : cut + 1]
        revision = parts[cut + 1] if action and len(parts) > cut + 1 else "main"
        model, refusal = self._find(request, repo_id)
        if model is None:
            return refusal
        if (commit := _commit(model, revision)) is None:
            return error(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        if action == ["tree"]:
            tree = [_tree_entry(name, body) for name, body in model.commits[commit].items()]
            start = _cursor_offset(request.query)
            end = start + self.page_size
            return self._page(request, tree[start:end], end if end < len(tree) else None)
        expand = request.query.get("expand") or request.query.get("expand[]")
        entry = self._entry(model, expand, None)
        if "sha" in entry:
            entry["sha"] = commit
        return Reply(200, json.dumps(entry).encode(), {"content-type": "application/json"})

    def _find(self, request: Recorded, repo_id: str) -> tuple[HubModel | None, Reply]:
        """The model, or the Hub's way to say that it is not to be had."""
        if repo_id in self.renames:
            new_path = request.path.replace(repo_id, self.renames[repo_id], 1)
            query = urlencode(request.query, doseq=True)
            return None, Reply(307, b"Temporary Redirect", {"location": f"{new_path}?{query}"})
        model = self.models.get(repo_id)
        if model is None or (model.facts["private"] and request.token not in model.granted):
            return None, error(401, "Invalid username or password.")
        if self._is_bad_token(request) and not model.facts["gated"]:
            return None, error(401, "Invalid credentials in Authorization header")
        return model, Reply(200)

    def _resolve(self, request: Recorded, repo_id: str, revision: str, path: str) -> Reply:
        model, refusal = self._find(request, repo_id)
        if model is None:
            return refusal
        if model.facts["disabled"]:
            return error(403, "Access to this resource is disabled.")
        if model.facts["gated"] and request.token not in model.granted:
            status = 403 if request.token in self.tokens else 401
            return error(status, f"Access to model {repo_id} is restricted.", "GatedRepo")
        if (commit := _commit(model, revision)) is None:
            return error(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        if (body := model.commits[commit].get(path)) is None:
            return error(404, "Entry not found", "EntryNotFound")
        if not path.endswith(LFS_SUFFIXES):
            target = f"/api/resolve-cache/models/{repo_id}/{commit}/{quote(path, safe='')}"
            headers = {"location": target, "x-repo-commit": commit, "etag": f'"{git_oid(body)}"'}
            return Reply(307, f"Temporary Redirect. Redirecting to {target}".encode(), headers)
        etag = f'"{sha256(body)}"'
        return Reply(302, b"Found", {
            "location": f"{self.cdn_url}/{repo_id}/{commit}/{quote(path)}?Signature=loopback",
            "x-repo-commit": commit, "x-linked-size": str(len(body)),
            "x-linked-etag": etag, "etag": etag, "accept-ranges": "bytes",
        })  # fmt: skip

    def _small_file(self, repo_id: str, commit: str, path: str) -> Reply:
        body = self.models[repo_id].commits[commit].get(path)
        if body is None:
            return error(404, "Entry not found", "EntryNotFound")
        headers = {"content-type": "text/plain; charset=utf-8", "etag": f'"{git_oid(body)}"',
                   "x-repo-commit": commit}  # fmt: skip
        return Reply(200, body, headers, is_ranged=True)

    def _answer_cdn(self, request: Recorded) -> Reply:
        owner, name, commit, *path = unquote(request.path).strip("/").split("/")
        body = self.models[f"{owner}/{name}"].commits[commit]["/".join(path)]
        # A CDN's ETag is not the file's SHA-256.
        headers = {"content-type": "application/octet-stream",
                   "etag": f'"{xet_hash(body)}"'}  # fmt: skip
        return Reply(200, body, headers, is_ranged=True)

    def _is_bad_token(self, request: Recorded) -> bool:
        return bool(request.token) and request.token not in self.tokens


def error(status: int, message: str, code: str = "") -> Reply:
    """An error as the Hub words it. A missing repo's has no code."""
    headers = {"content-type": "application/json; charset=utf-8", "x-error-message": message}
    if code:
        headers["x-error-code"] = code
    return Reply(status, json.dumps({"error": message}).encode(), headers)


_known_sha256: dict[int, tuple[Content, str]] = {}


def sha256(body: Content) -> str:
    """A file's SHA-256, worked out once for each body."""
    known = _known_sha256.get(id(body))
    if known is None:
        known = _known_sha256[id(body)] = body, hashlib.sha256(body).hexdigest()
    return known[1]


def xet_hash(body: Content) -> str:
    """Another name for the same content, as the Hub's storage has them."""
    return hashlib.sha256(b"xet" + sha256(body).encode()).hexdigest()


def git_oid(body: Content) -> str:
    """A blob's name in git."""
    blob = hashlib.sha1(b"blob %d\0" % len(body))
    blob.update(body)
    return blob.hexdigest()


def _commit(model: HubModel, revision: str) -> str | None:
    if revision in ("main", "HEAD"):
        return model.newest
    return revision if revision in model.commits else None


def _cursor_offset(query: Mapping[str, list[str]]) -> int:
    return int(base64.urlsafe_b64decode(query["cursor"][0])) if "cursor" in query else 0


def _tree_entry(path: str, body: Content) -> dict[str, Any]:
    if not path.endswith(LFS_SUFFIXES):
        return {"type": "file", "oid": git_oid(body), "size": len(body), "path": path}
    oid = sha256(body)
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {len(body)}\n"
    return {
        "type": "file", "oid": git_oid(pointer.encode()), "size": len(body), "path": path,
        "lfs": {"oid": oid, "size": len(body), "pointerSize": len(pointer)},
        "xetHash": xet_hash(body),
    }  # fmt: skip
