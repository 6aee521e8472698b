"""The gate: every request passes here before Gradio sees it.

It refuses foreign hosts and origins, says who is asking, sends guests to an app of their own in
which nothing is wired that is not for guests, and adds the headers that tell browsers what this
page never does. Guests reach the routes listed here and no other; for the owner, what would make
the server fetch or write for somebody is closed.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine.access import GUEST_COOKIE, OWNER_COOKIE, Access, Visitor
from ui.guard import VISITOR_KEY
from ui.guest_requests import GuestRequests
from ui.hosts import Hosts, is_from_another_site, was_forwarded
from ui.sign_in import SIGN_IN_PATHS, SignIn, ended_page

API = "/gradio_api"
# /v1 wants its own key, and Gradio's launch calls startup-events, which does one thing once.
_ASKS_ITSELF = re.compile(rf"{API}/startup-events|/v1(/.*)?")
MOST_GUEST_REQUESTS = 500
MOST_BODY_BYTES = 200_000
MOST_UNREAD_BYTES = 1_000_000
MOST_COOKIE_CHARS = 8_000
POLICY = "; ".join((
    "default-src 'self'", "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
    "style-src 'self' 'unsafe-inline'", "img-src 'self' data: blob:", "font-src 'self' data:",
    "media-src 'self' data: blob:", "connect-src 'self'", "worker-src 'self' blob:",
    "form-action 'self'", "frame-src 'none'", "frame-ancestors 'none'", "object-src 'none'",
    "base-uri 'self'",
))  # fmt: skip
_HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}
_GUESTS_MAY = re.compile(
    r"GET (/|/config/?|/theme\.css|/robots\.txt|/favicon\.ico|/manifest\.json|/pwa_icon(/\d+)?"
    r"|/(assets|static|svelte)/.+"
    rf"|{API}/(info/?|theme\.css|app_id/?|queue/(data|status)|heartbeat/\w+"
    r"|call/\w+/\w+))"
    r"|HEAD /"
    rf"|POST {API}/(queue/join|call/\w+|run/\w+/?|cancel|reset/?)"
)
_JOINS = re.compile(rf"{API}/(queue/join|call/\w+|run/\w+/?)")
# Fetching for the caller, writing for the caller, and tools of Gradio's developers.
_NOBODY_MAY = re.compile(
    rf"{API}/(file=[a-zA-Z]+:.*|file/.*|proxy=.*|deep_link|stream/.*|dev/.*|vibe.*|undo-vibe.*"
    r"|run-history/.*|runs/?|process_recording|profiling/.*|token/?)|/monitoring(/.*)?"
)


@dataclass(frozen=True)
class GuestSide:
    """The guests' app, what their requests may look like, and how many may still join its queue."""

    app: ASGIApp
    requests: GuestRequests
    places: Callable[[], int]


class Gate:
    """Stands before the owner's app and the guests'; ``guests`` is None where nothing is shared."""

    def __init__(
        self, owner: ASGIApp, access: Access, hosts: Hosts, guests: GuestSide | None = None
    ) -> None:
        self._owner = owner
        self._guests = guests
        self._access = access
        self._hosts = hosts
        self._sign_in = SignIn(access, hosts)
        self._guest_requests = 0
        self._joining = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "lifespan":
            await self._owner(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = Headers(scope=scope)
        visitor = self._access.visitor_of(_cookies(headers))
        scope[VISITOR_KEY] = visitor
        await self._app_for(scope, headers, visitor)(
            scope, receive, self._with_headers(scope, headers, visitor, send)
        )

    def _app_for(self, scope: Scope, headers: Headers, visitor: Visitor) -> ASGIApp:
        """Who answers this request."""
        if refusal := self._refusal(scope, headers):
            return _after_body(refusal)
        if self._access.is_shared and scope["path"] in SIGN_IN_PATHS:
            return self._sign_in
        if visitor.is_owner or _ASKS_ITSELF.fullmatch(scope["path"]):
            return self._owner
        if refusal := self._refusal_for_guests(scope, headers):
            return _after_body(refusal)
        return self._serve_guest

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        """Why nobody gets an answer to this, if so."""
        host, origin = headers.get("host", ""), headers.get("origin")
        if not self._hosts.accepts_host(host) or len(headers.getlist("host")) != 1:
            return PlainTextResponse("This Pomona is not called by that name.", 400)
        if origin is not None and not self._hosts.accepts_origin(origin, host):
            return _refuse(403, "Another site may not talk to this Pomona.")
        if is_from_another_site(headers):
            return _refuse(403, "Another site may not talk to this Pomona.")
        if not self._access.is_shared and was_forwarded(headers):
            return PlainTextResponse(
                "This Pomona is for its own computer alone, and this request came through a proxy."
                " To serve it through one, start it with --behind-proxy NAME.", 403,
            )  # fmt: skip
        if _NOBODY_MAY.fullmatch(scope["path"]):
            return _refuse(403, "Pomona does not do this for anybody.")
        return None

    def _refusal_for_guests(self, scope: Scope, headers: Headers) -> Response | None:
        """Why a guest gets no answer to this, if so."""
        is_page = scope["path"] == "/"
        if not self._access.is_open:
            return ended_page() if is_page else _refuse(403, "This link has ended.")
        if OWNER_COOKIE in _cookies(headers) and not is_page and scope["method"] == "POST":
            return _refuse(401, "You are signed out. Load the page again.")
        if not _GUESTS_MAY.fullmatch(f"{scope['method']} {scope['path']}"):
            return _refuse(403, "Only the owner of this Pomona may do this.")
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > MOST_BODY_BYTES:
            return _refuse(413, "This is more than a guest may send at once.")
        guests, is_join = self._guests, _JOINS.fullmatch(scope["path"]) is not None
        is_full = guests is None or (is_join and guests.places() <= self._joining)
        if is_full or self._guest_requests >= MOST_GUEST_REQUESTS:
            return _refuse(503, "Pomona is busy: too many guests are waiting. Try again soon.")
        return None

    async def _serve_guest(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self._guests is not None
        visitor, path = scope[VISITOR_KEY], scope["path"]
        is_join = _JOINS.fullmatch(path) is not None
        self._guest_requests += 1
        self._joining += is_join
        try:
            check = self._guests.requests
            refusal = check.refusal_of_url(path, scope["query_string"], visitor)
            if not refusal and check.has_body(scope["method"], path):
                body = await _read_body(receive)
                refusal = check.refusal_of_body(path, body, visitor)
                receive = _replay(body, receive)
            app = _refuse(403, refusal) if refusal else self._guests.app
            await app(scope, receive, send)
        finally:
            self._guest_requests -= 1
            self._joining -= is_join

    def _with_headers(self, scope: Scope, request: Headers, visitor: Visitor, send: Send) -> Send:
        """``send`` with the headers that every answer has."""
        is_page = scope["path"] == "/"
        needs_cookie = is_page and not visitor.is_owner and not visitor.visitor_id

        async def send_more(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_HEADERS)
                if is_page or scope["path"].startswith("/config"):
                    headers["cache-control"] = "no-store"
                if needs_cookie and self._access.is_open:
                    headers.append("set-cookie", self._guest_cookie(request))
            await send(message)

        return send_more

    def _guest_cookie(self, request: Headers) -> str:
        secure = "; Secure" if self._sign_in.is_secure(request) else ""
        value = self._access.new_guest_cookie()
        return f"{GUEST_COOKIE}={value}; HttpOnly; Path=/; SameSite=Strict{secure}"


def _cookies(headers: Headers) -> dict[str, str]:
    return cookie_parser(headers.get("cookie", "")[:MOST_COOKIE_CHARS])


def _after_body(response: Response) -> ASGIApp:
    """A refusal that reads what was sent first, within bounds.

    A connection that is closed with something unread is reset, and the refusal is lost with it.
    """

    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        left, has_more = MOST_UNREAD_BYTES, scope["method"] == "POST"
        while has_more and left > 0:
            message = await receive()
            left -= len(message.get("body", b""))
            has_more = message["type"] == "http.request" and message.get("more_body", False)
        await response(scope, receive, send)

    return refuse


async def _read_body(receive: Receive) -> bytes:
    """What a guest sent, as far as they may; more than that is no JSON any more."""
    body, has_more = b"", True
    while has_more and len(body) <= MOST_BODY_BYTES:
        message = await receive()
        body += message.get("body", b"")
        has_more = message["type"] == "http.request" and message.get("more_body", False)
    return body if len(body) <= MOST_BODY_BYTES else b""


def _replay(body: bytes, receive: Receive) -> Receive:
    """``receive`` for whoever comes after us: the body once more, then what happens next."""
    is_read = False

    async def again() -> Message:
        nonlocal is_read
        if is_read:
            return await receive()
        is_read = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _refuse(status: int, text: str) -> Response:
    return JSONResponse({"detail": text, "error": text}, status)
