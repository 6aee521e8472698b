"""What a guest's request must look like before Gradio sees it.

Gradio answers a handler that is not there with a traceback, and takes whoever knows a session's
name for its visitor. Here a guest's call names a handler of the guests' page, and a session belongs
to the browser that used it first.
"""

import json
import re
from collections import OrderedDict
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import parse_qs

from engine.access import Visitor

MOST_SESSIONS = 4_000
_SESSION = re.compile(r"[\w-]{1,64}")
_CALL = re.compile(r"/gradio_api/call/(\w+)(?:/\w+)?")
_BODIES = re.compile(r"/gradio_api/(queue/join|call/\w+|run/\w+/?|cancel|reset/?)")
_HEARTBEAT = re.compile(r"/gradio_api/heartbeat/(.*)")
NOT_THERE = "Only the owner of this Pomona may do this."
NOT_YOURS = "This is another visitor's session."
MALFORMED = "This is no request that Pomona knows."


class GuestRequests:
    """Checks requests of guests. ``names`` are published; ``numbers`` are wired on their page."""

    def __init__(self, names: Collection[str], numbers: Collection[int]) -> None:
        self._names = names
        self._numbers = numbers
        self._sessions: OrderedDict[str, str] = OrderedDict()

    def has_body(self, method: str, path: str) -> bool:
        """Whether the body is to be looked at as well."""
        return method == "POST" and _BODIES.fullmatch(path) is not None

    def refusal_of_url(self, path: str, query: bytes, visitor: Visitor) -> str:
        """Why a guest may not call this address; empty if they may."""
        called = _CALL.fullmatch(path)
        if called and called[1] not in self._names:
            return NOT_THERE
        heartbeat = _HEARTBEAT.fullmatch(path)
        asked = parse_qs(query[:2_000].decode("latin-1")).get("session_hash", [])
        for session in [*asked, *([heartbeat[1]] if heartbeat else [])]:
            if refusal := self._refusal_of_session(session, visitor):
                return refusal
        return ""

    def refusal_of_body(self, path: str, body: bytes, visitor: Visitor) -> str:
        """Why a guest may not send this body; empty if they may."""
        try:
            sent = json.loads(body)
        except (ValueError, RecursionError):
            return MALFORMED
        if not isinstance(sent, dict) or not isinstance(sent.get("data", []), list):
            return MALFORMED
        session = sent.get("session_hash")
        if session is not None and (refusal := self._refusal_of_session(session, visitor)):
            return refusal
        return "" if self._is_wired(path, sent) else NOT_THERE

    def _is_wired(self, path: str, sent: Mapping[str, Any]) -> bool:
        number = sent.get("fn_index")
        if number is None:
            return "/call/" in path or path.endswith(("cancel", "reset", "reset/"))
        return type(number) is int and number in self._numbers

    def _refusal_of_session(self, session: object, visitor: Visitor) -> str:
        if not isinstance(session, str) or not _SESSION.fullmatch(session):
            return MALFORMED
        owner = self._sessions.setdefault(session, visitor.visitor_id)
        self._sessions.move_to_end(session)
        if len(self._sessions) > MOST_SESSIONS:
            self._sessions.popitem(last=False)
        return "" if owner == visitor.visitor_id else NOT_YOURS
