"""Call every handler of both pages as somebody, and print what came of it as JSON.

``python -m tests.ui.walk FOLDER``, in a process of its own: Gradio leaves an open event loop behind
for every Blocks.
"""

import asyncio
import inspect
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
from gradio.context import LocalContext

from engine import Engine
from engine.access import Access, Visitor
from engine.errors import LinkEnded, NotOwner
from engine.guests import Guests
from engine.quotas import GuestLimits
from engine.settings import GUIDE_ID
from tests.conftest import settings_in
from ui.app import build_app
from ui.guard import VISITOR_KEY, visitor_now
from ui.guest_app import build_guest_app
from ui.hosts import Hosts
from ui.sharing import Sharing

Outcome = str


async def outcome(handler: Any, visitor: Visitor | None) -> Outcome:
    """``refused``, ``ended``, or ``let in``, whatever the handler made of nonsense."""
    scope = {} if visitor is None else {VISITOR_KEY: visitor}
    request = SimpleNamespace(request=SimpleNamespace(scope=scope))
    LocalContext.request.set(request)  # type: ignore[arg-type]
    try:
        got = handler(*[None] * 12)
        if inspect.isasyncgen(got):
            got = anext(got)
        if inspect.isawaitable(got):
            await asyncio.wait_for(got, 5)
        elif inspect.isgenerator(got):
            next(got)
    except gr.Error as error:
        return {NotOwner: "refused", LinkEnded: "ended"}.get(type(error.__cause__), "let in")
    except (TypeError, AttributeError, ValueError, StopAsyncIteration, TimeoutError):
        return "let in"
    return "let in"


def walk(demo: gr.Blocks, visitor: Visitor | None) -> list[tuple[str, Outcome]]:
    """(name, outcome) of every handler of a page."""
    return [
        (str(wired.api_name), asyncio.run(outcome(wired.fn, visitor)))
        for wired in demo.fns.values()
        if wired.fn is not None
    ]


def main(folder: Path) -> None:
    """Walk as a guest, as nobody, as a guest of an ended link, and as somebody signed out."""
    engine = Engine(settings_in(folder))
    access = Access("a password of the owner")
    guests = Guests(engine, (GUIDE_ID,), GuestLimits(), visitor_now)
    sharing = Sharing(access, guests, Hosts("127.0.0.1"), None)
    owner_page = build_app(engine, GUIDE_ID, access, sharing)
    guest_page = build_guest_app(guests, access)
    guest = Visitor("guest", "somebody")
    walks = {
        "owner's page, guest": walk(owner_page, guest),
        "owner's page, nobody": walk(owner_page, None),
        "owner's page, signed out": walk(owner_page, Visitor("owner", "old session")),
        "guests' page, guest": walk(guest_page, guest),
        "guests' page, nobody": walk(guest_page, None),
    }
    token = access.sign_in("a password of the owner")
    access.end_link(access.visitor_of({"pomona-owner": str(token)}))
    walks["guests' page, ended"] = walk(guest_page, guest)
    print(json.dumps(walks))
    engine.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
