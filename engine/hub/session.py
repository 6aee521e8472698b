"""The one boundary to huggingface_hub: a login, one HTTP client, retries, and what refusals mean.

From huggingface_hub come the login, the environment's rules and the classes of refusals. The
requests are our own, over one client with timeouts: its own have none, sleep for as long as a
Retry-After says, and close every thread's connections when one of them cannot connect. Asking it
for headers would also send a request of its own, to learn which programs to name in them.
"""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent import futures
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
from huggingface_hub import __version__ as hub_version
from huggingface_hub import constants, errors, get_token
from huggingface_hub.utils import (  # type: ignore[attr-defined]  # its exports are lazy
    hf_raise_for_status,
    parse_ratelimit_headers,
)

from engine import hub_failures as failures
from engine.errors import Cancelled, HubError
from engine.hub.answers import Answer
from engine.hub_failures import DEFAULT_ENDPOINT, Subject
from engine.patience import (
    Cancel,
    OnWait,
    Patience,
    format_wait,
    never,
    parse_retry_after,
    quietly,
    wait,
)

MAX_JSON_BYTES = 64_000_000
MAX_REDIRECTS = 10
_POLL_S = 0.1
_FOREIGN = (
    httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError, httpx2.CookieConflict,
    errors.EntryNotFoundError, errors.RevisionResolutionError, errors.OIDCError,
    errors.DeviceCodeError, OSError, ValueError, RuntimeError,
)  # fmt: skip
_RETRIED = (
    httpx2.TimeoutException, httpx2.NetworkError, httpx2.RemoteProtocolError, httpx2.ProxyError,
    errors.HfHubHTTPError,
)  # fmt: skip
_BODY_HEADERS = (b"content-encoding", b"content-length", b"transfer-encoding")


@contextlib.contextmanager
def hub_errors(about: Subject) -> Iterator[None]:
    """Turn what huggingface_hub, its HTTP client and the network raise into ours, cause kept."""
    try:
        yield
    except errors.HfHubHTTPError as error:
        raise _refusal(error, about) from error
    except _FOREIGN as error:
        meanings = (make for kinds, make in _MEANINGS if isinstance(error, kinds))
        raise next(meanings, _not_understood)(about) from error


def _refusal(error: errors.HfHubHTTPError, about: Subject) -> HubError:
    """What an answer with an error status means. Its own text is for the log alone."""
    status = error.response.status_code
    has_token = "authorization" in error.response.request.headers  # error.request is never set
    said = error.response.headers.get("x-error-message", "").lower()
    for kind, make in _REFUSALS:
        if isinstance(error, kind):
            return make(about, has_token)
    if status == 401 and has_token and (not about.repo_id or "token" in said or "authoriz" in said):
        return failures.token_refused()
    # Without a login, the Hub answers 401 for what is private and for what does not exist.
    if about.repo_id and (
        isinstance(error, errors.RepositoryNotFoundError) or status in (401, 404)
    ):
        return failures.not_found(about, has_token)
    if status == 429:
        return failures.rate_limited(_asked_wait_s(error.response) or 60.0)
    return failures.refused(status)


def _not_understood(about: Subject) -> HubError:
    return failures.broken("sent something that could not be read")


_REFUSALS: tuple[tuple[type[Exception], Callable[[Subject, bool], HubError]], ...] = (
    (errors.GatedRepoError, failures.gated),
    (errors.DisabledRepoError, lambda about, _: failures.disabled(about)),
    (errors.RevisionNotFoundError, lambda about, _: failures.no_version(about)),
    (errors.RemoteEntryNotFoundError, lambda about, _: failures.no_file(about)),
)
_MEANINGS: tuple[tuple[tuple[type[Exception], ...], Callable[[Subject], HubError]], ...] = (
    ((errors.OfflineModeIsEnabled,), lambda _: failures.offline_mode()),
    ((errors.HFValidationError, errors.HfUriError), lambda s: failures.not_a_name(s.repo_id)),
    ((errors.LocalTokenNotFoundError, errors.OIDCError, errors.DeviceCodeError),
     lambda _: failures.login_unreadable()),
    ((errors.LocalEntryNotFoundError, errors.RevisionResolutionError),
     lambda _: failures.unreachable()),
    ((errors.EntryNotFoundError,), failures.no_file),
    ((errors.FileMetadataError, errors.DryRunError), _not_understood),
    ((httpx2.TooManyRedirects,), lambda _: failures.broken("sent us in circles")),
    ((httpx2.UnsupportedProtocol, httpx2.InvalidURL), lambda _: failures.bad_endpoint()),
    ((httpx2.TimeoutException,), lambda _: failures.too_slow()),
    ((httpx2.NetworkError, httpx2.ProxyError, httpx2.RemoteProtocolError, OSError),
     lambda _: failures.unreachable()),
)  # fmt: skip


def _asked_wait_s(response: httpx2.Response) -> float | None:
    """Seconds that the Hub wants us to wait; its rate header counts only when nothing is left."""
    asked_s = parse_retry_after(response.headers.get("retry-after"), time.time())
    if asked_s is not None or response.status_code != 429:
        return asked_s
    rate = parse_ratelimit_headers(response.headers)
    return float(min(rate.reset_in_seconds, 10**9)) if rate and rate.remaining == 0 else None


@dataclass(frozen=True)
class Question:
    """A GET below the endpoint, and who asks. A file that ``is_cut`` may end at ``max_bytes``."""

    path: str
    query: str
    about: Subject
    cancel: Cancel = never
    on_wait: OnWait = quietly
    max_bytes: int = MAX_JSON_BYTES
    is_cut: bool = False


class HubSession:
    """Asks questions of the Hub, or of the one that HF_ENDPOINT names; from any thread."""

    def __init__(self, environ: Mapping[str, str] | None, patience: Patience) -> None:
        self._is_own_environment = environ is None
        self._environ = os.environ if environ is None else environ
        self._patience = patience
        self._lock = threading.Lock()
        self._http: httpx2.Client | None = None
        self._is_closed = False

    @property
    def endpoint(self) -> str:
        """The Hub's address, without a slash at its end."""
        return self._environ.get("HF_ENDPOINT", "").strip().rstrip("/") or DEFAULT_ENDPOINT

    def close(self) -> None:
        """Close the connections; later questions raise HubError."""
        with self._lock:
            self._is_closed = True
            http, self._http = self._http, None
        if http is not None:
            http.close()

    def get(self, question: Question) -> Answer:
        """The answer, at once or after a few tries. Raises as HubClient says."""
        self._check_online()
        for failed_tries in range(1, self._patience.tries):
            if question.cancel():
                raise Cancelled()
            with hub_errors(question.about):
                try:
                    return self._try_unless_cancelled(question)
                except _RETRIED as error:
                    pause = self._plan_pause(error, failed_tries)
                    if pause is None:
                        raise
            question.on_wait(*pause)
            wait(pause[0], question.cancel)
        with hub_errors(question.about):
            return self._try_unless_cancelled(question)

    def _plan_pause(self, error: Exception, failed_tries: int) -> tuple[float, str] | None:
        """Seconds to wait before the next try, and why; None when another try is no use."""
        asked_s = None
        if isinstance(error, errors.HfHubHTTPError):
            status = error.response.status_code
            if status not in (408, 429) and (status < 500 or status in (501, 505)):
                return None
            asked_s = _asked_wait_s(error.response)
        if asked_s is None:
            return self._patience.backoff_s(failed_tries), "The Hub gave no answer; trying again."
        if asked_s > self._patience.longest_wait_s:
            return None
        return asked_s, f"The Hub asked us to wait {format_wait(asked_s)}."

    def _try_unless_cancelled(self, question: Question) -> Answer:
        """One try. A server that says nothing is left to a thread, which ends by its timeouts."""
        if question.cancel is never:
            return self._try(question)
        pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="pomona-hub")
        answer = pool.submit(self._try, question)
        pool.shutdown(wait=False)
        while not futures.wait([answer], _POLL_S).done:
            if question.cancel():
                raise Cancelled()
        return answer.result()

    def _try(self, question: Question) -> Answer:
        url = f"{self.endpoint}{question.path}" + (f"?{question.query}" if question.query else "")
        deadline = time.monotonic() + self._patience.answer_s
        with self._client().stream("GET", url, headers=self._headers(question)) as response:
            hf_raise_for_status(_without_body(response))
            if response.status_code != 200:
                raise failures.broken(f"gave half an answer (status {response.status_code})")
            body, is_cut = _read(response, question, deadline)
            return Answer(
                body=body,
                is_cut=is_cut,
                content_type=response.headers.get("content-type", ""),
                next_query=urlsplit(response.links.get("next", {}).get("url", "")).query,
            )

    def _client(self) -> httpx2.Client:
        """The one client, made when it is first needed: reading certificates takes a while."""
        with self._lock:
            if self._is_closed:
                raise failures.closed()
            if self._http is None:
                self._http = httpx2.Client(
                    timeout=httpx2.Timeout(self._patience.read_s, connect=self._patience.connect_s),
                    follow_redirects=True,
                    max_redirects=MAX_REDIRECTS,
                )
            return self._http

    def headers(self) -> dict[str, str]:
        """Who we are, and the login. Raises Offline in offline mode, HubError for a bad login."""
        self._check_online()
        headers = {"user-agent": f"pomona; hf_hub/{hub_version}"}
        token = self._token()
        if token and not (token.isascii() and token.isprintable() and " " not in token):
            raise failures.login_unreadable()
        return headers | ({"authorization": f"Bearer {token}"} if token else {})

    def _headers(self, question: Question) -> dict[str, str]:
        """httpx2 drops the login where a redirect leaves the server."""
        if question.about.file:  # a small file must not unpack to a large one
            return self.headers() | {"accept-encoding": "identity"}
        return self.headers()

    def _check_online(self) -> None:
        if self._is_switched_on("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
            raise failures.offline_mode()

    def _token(self) -> str | None:
        """The access token, read anew each time: a login needs no restart."""
        if self._is_switched_on("HF_HUB_DISABLE_IMPLICIT_TOKEN"):
            return None
        try:
            return get_token() if self._is_own_environment else self._token_of_environ()
        except (PermissionError, IsADirectoryError, UnicodeError) as error:
            raise failures.login_unreadable() from error

    def _token_of_environ(self) -> str | None:
        """As get_token reads it, which knows no environment but the process's."""
        env = self._environ
        token = env.get("HF_TOKEN") or env.get("HUGGING_FACE_HUB_TOKEN") or ""
        if token.strip():
            return token.strip()
        cache = env.get("XDG_CACHE_HOME") or os.path.join(env.get("HOME") or "~", ".cache")
        home = env.get("HF_HOME") or os.path.join(cache, "huggingface")
        file = Path(env.get("HF_TOKEN_PATH") or os.path.join(home, "token")).expanduser()
        return file.read_text(encoding="utf-8").strip() if file.exists() else None

    def _is_switched_on(self, *names: str) -> bool:
        value = next(filter(None, map(self._environ.get, names)), "")
        return value.upper() in constants.ENV_VARS_TRUE_VALUES


def _without_body(response: httpx2.Response) -> httpx2.Response:
    """The answer's status and headers alone.

    hf_raise_for_status would read a body of any length, and fails with AttributeError where that
    is JSON but no object.
    """
    headers = [(k, v) for k, v in response.headers.raw if k.lower() not in _BODY_HEADERS]
    return httpx2.Response(response.status_code, headers=headers, request=response.request)


def _read(response: httpx2.Response, question: Question, deadline: float) -> tuple[bytes, bool]:
    """The body, and whether it was cut at ``max_bytes``. ``deadline`` is on the monotonic clock."""
    body = bytearray()
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > question.max_bytes:
            if question.is_cut:
                return bytes(body[: question.max_bytes]), True
            raise failures.broken(f"sent more than the {question.max_bytes} bytes expected of it")
        if question.cancel():
            raise Cancelled()
        if time.monotonic() > deadline:
            raise httpx2.ReadTimeout("the body came too slowly", request=response.request)
    return bytes(body), False
