"""Where the owner signs in and out, and what a guest sees when the link has ended.

Plain pages without scripts. Wrong passwords are answered late, and later the more of them there
were; the right one never waits for them, so nobody can lock the owner out by guessing.
"""

import asyncio
import html
import time
from collections import deque
from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from engine.access import OWNER_COOKIE, OWNER_SESSION_S, Access
from ui.guard import VISITOR_KEY
from ui.hosts import Hosts
from ui.theme import LOGO_PATH, PLAIN_STYLE

SIGN_IN_PATHS = ("/login", "/login/", "/logout", "/logout/")
MOST_FORM_BYTES = 8_000
MOST_AT_ONCE = 64
WORST_DELAY_S = 4.0  # programs wait for five
_MEMORY_S = 60.0


class SignIn:
    """``/login`` shows a form and takes it; ``/logout`` ends a session. Both are ASGI."""

    def __init__(self, access: Access, hosts: Hosts) -> None:
        self._access = access
        self._hosts = hosts
        self._one_at_a_time = asyncio.Lock()
        self._at_once = 0
        self._failed_at_s: deque[float] = deque(maxlen=256)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        request = Request(scope, receive)
        is_out = request.url.path.startswith("/logout")
        if request.method == "POST":
            response = self._sign_out(request) if is_out else await self._take(request)
        elif is_out:
            response = sign_in_page("Press the button to sign out.", is_out=True)
        else:
            response = sign_in_page()
        await response(scope, receive, send)

    def is_secure(self, headers: Headers) -> bool:
        """Whether the browser speaks https to whatever stands before us."""
        is_tunnel = self._hosts.is_https(headers.get("host", ""))
        return is_tunnel or headers.get("x-forwarded-proto", "") == "https"

    async def _take(self, request: Request) -> Response:
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > MOST_FORM_BYTES:
                return _answer(request, "This is no password.", 413)
        form = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)
        if self._at_once >= MOST_AT_ONCE:
            return _answer(request, "Too many people try to sign in. Try again in a moment.", 429)
        self._at_once += 1
        try:
            token = await self._try(form.get("password", [""])[0])
        finally:
            self._at_once -= 1
        if token is None:
            return _answer(request, "That is not the owner's password.", 401)
        response: Response = JSONResponse({"success": True})
        if _wants_page(request):
            response = RedirectResponse("/", 303)
        response.set_cookie(
            OWNER_COOKIE, token, max_age=int(OWNER_SESSION_S), httponly=True, samesite="strict",
            secure=self.is_secure(request.headers),
        )  # fmt: skip
        return response

    async def _try(self, password: str) -> str | None:
        async with self._one_at_a_time:  # it is work for the processor
            token = await asyncio.to_thread(self._access.sign_in, password)
        if token is None:
            now_s = time.monotonic()
            self._failed_at_s.append(now_s)
            recent = sum(at_s > now_s - _MEMORY_S for at_s in self._failed_at_s)
            await asyncio.sleep(min(WORST_DELAY_S, 0.25 * 2 ** min(recent, 5)))
        return token

    def _sign_out(self, request: Request) -> Response:
        self._access.sign_out(request.scope[VISITOR_KEY])
        response = RedirectResponse("/", 303)
        response.delete_cookie(OWNER_COOKIE, httponly=True, samesite="strict")
        return response


def sign_in_page(note: str = "", status: int = 200, is_out: bool = False) -> HTMLResponse:
    """The form for the password, or the button that signs out."""
    said = f'<p class="note" role="alert">{html.escape(note)}</p>' if note else ""
    field = (
        '<input name="username" value="owner" autocomplete="username" hidden>'
        '<label for="password">The owner\'s password</label>'
        '<input id="password" name="password" type="password" required autofocus'
        ' autocomplete="current-password" maxlength="1024">'
    )
    form = (
        f'<form method="post" action="{"logout" if is_out else "login"}">{"" if is_out else field}'
        f"{said}<button>{'Sign out' if is_out else 'Sign in'}</button></form>"
        '<p class="note"><a href="./">Back to the chat</a></p>'
    )
    text = "Whoever started Pomona can find models, download and delete them here."
    return _page("Sign in" if not is_out else "Sign out", "" if is_out else text, form, status)


def ended_page() -> HTMLResponse:
    """What is left of a link that has ended."""
    text = "Ask whoever gave it to you for a new one. What you wrote here is gone."
    form = '<p class="note"><a href="login">Owner? Sign in</a></p>'
    return _page("This link has ended", text, form, 403)


def _answer(request: Request, text: str, status: int) -> Response:
    if _wants_page(request):
        return sign_in_page(text, status)
    return JSONResponse({"detail": text}, status)


def _wants_page(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")


def _page(title: str, text: str, form: str, status: int) -> HTMLResponse:
    logo = LOGO_PATH.read_text(encoding="utf-8")
    return HTMLResponse(
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title} · Pomona</title><style>{PLAIN_STYLE}</style></head><body><main>"
        f'<div class="brand">{logo}<b>Pomona</b></div><h1>{title}</h1>'
        f"{f'<p>{text}</p>' if text else ''}{form}</main></body></html>",
        status,
        {"cache-control": "no-store"},
    )
