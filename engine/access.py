"""Who may do what: one policy object, asked by every handler and every route.

On this computer alone there is only the owner. A shared Pomona has one owner, who signs in with a
password, and guests, who may chat. Nothing here believes an address or a forwarded header: a
visitor is who their cookie says, and cookies are random or signed with a key that lives and dies
with this process.
"""

import hashlib
import hmac
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from engine.errors import LinkEnded, NotOwner

OWNER_COOKIE = "pomona-owner"
GUEST_COOKIE = "pomona-guest"
MOST_OWNER_SESSIONS = 32
OWNER_SESSION_S = 14 * 86_400.0
_SCRYPT = {"n": 2**14, "r": 8, "p": 1}  # about 40 ms: few guesses, and one sign-in is quick
_ID_BYTES = 16

VisitorRole = Literal["owner", "guest"]


@dataclass(frozen=True)
class Visitor:
    """Whoever sent a request.

    ``visitor_id`` is the guest of one browser, empty for a program without our cookie; for an
    owner it names the sign-in, empty where nobody needs to sign in.
    """

    role: VisitorRole
    visitor_id: str = ""

    @property
    def is_owner(self) -> bool:
        """Whether everything is allowed."""
        return self.role == "owner"


class Access:
    """The policy. Without a password Pomona is not shared, and everybody who gets in is the owner.

    ``ends_at`` is when guests are let in no longer; None is never. Safe to call from any thread.
    """

    def __init__(
        self,
        password: str | None = None,
        ends_at: float | None = None,
        now_at: Callable[[], float] = time.time,
    ) -> None:
        self.is_shared = password is not None
        self._now_at = now_at
        self._ends_at = ends_at
        self._is_ended = False
        self._salt = secrets.token_bytes(16)
        self._password = self._digest(password) if password is not None else b""
        self._cookie_key = secrets.token_bytes(32)
        self._lock = threading.Lock()
        self._sessions: OrderedDict[str, float] = OrderedDict()

    @property
    def ends_at(self) -> float | None:
        """When the link ends by itself."""
        return self._ends_at

    @property
    def is_open(self) -> bool:
        """Whether guests are let in."""
        is_over = self._ends_at is not None and self._now_at() >= self._ends_at
        return self.is_shared and not self._is_ended and not is_over

    def visitor_of(self, cookies: Mapping[str, str]) -> Visitor:
        """Who sent a request with these cookies."""
        if not self.is_shared:
            return Visitor("owner")
        session = _name_of(cookies.get(OWNER_COOKIE, ""))
        if self._has(session):
            return Visitor("owner", session)
        return Visitor("guest", self._guest_of(cookies.get(GUEST_COOKIE, "")))

    def check_owner(self, visitor: Visitor | None) -> None:
        """Raise NotOwner unless this visitor is, still, the owner."""
        is_owner = visitor is not None and visitor.is_owner
        if is_owner and (not self.is_shared or self._has(visitor.visitor_id if visitor else "")):
            return
        raise NotOwner(
            "Only the owner of this Pomona may do this.", "Sign in with the owner's password."
        )

    def check_guest(self, visitor: Visitor | None) -> None:
        """Raise NotOwner or LinkEnded unless this visitor may do what guests may."""
        if visitor is None or visitor.is_owner:
            self.check_owner(visitor)
        elif not self.is_open:
            raise LinkEnded("This link has ended.", "Ask whoever gave it to you for a new one.")

    def new_guest_cookie(self) -> str:
        """A cookie for a browser that has none. Nothing is kept of it here."""
        visitor_id = secrets.token_urlsafe(_ID_BYTES)
        return f"{visitor_id}.{self._signature(visitor_id)}"

    def sign_in(self, password: str) -> str | None:
        """The cookie of a new session, or None where the password is not the owner's.

        Takes some 40 ms of work, the same for every password.
        """
        digest = self._digest(password[:1024])
        if not self.is_shared or not hmac.compare_digest(digest, self._password):
            return None
        token = secrets.token_urlsafe(32)
        with self._lock:
            self._sessions[_name_of(token)] = self._now_at() + OWNER_SESSION_S
            while len(self._sessions) > MOST_OWNER_SESSIONS:
                self._sessions.popitem(last=False)
        return token

    def sign_out(self, visitor: Visitor) -> None:
        """End the session of one owner."""
        with self._lock:
            self._sessions.pop(visitor.visitor_id, None)

    def end_link(self, by: Visitor) -> None:
        """Let no guest in any more, and end every session but that of whoever does it."""
        self.check_owner(by)
        with self._lock:
            self._is_ended = True
            kept = {k: v for k, v in self._sessions.items() if k == by.visitor_id}
            self._sessions = OrderedDict(kept)

    def _has(self, session: str) -> bool:
        with self._lock:
            return self._sessions.get(session, 0.0) > self._now_at()

    def _guest_of(self, cookie: str) -> str:
        visitor_id, _, signature = cookie[:200].partition(".")
        expected = self._signature(visitor_id)
        return visitor_id if hmac.compare_digest(signature.encode(), expected.encode()) else ""

    def _signature(self, visitor_id: str) -> str:
        return hmac.new(self._cookie_key, visitor_id.encode(), hashlib.sha256).hexdigest()

    def _digest(self, password: str) -> bytes:
        data = password.encode("utf-8", "surrogatepass")
        return hashlib.scrypt(data, salt=self._salt, **_SCRYPT)


def _name_of(token: str) -> str:
    """What is kept of a session's token: enough to know it again, not enough to use it."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest() if token else ""
