"""What the owner sees of a shared Pomona, in the Manage tab, and the button that ends it."""

import html
import time
from dataclasses import dataclass
from typing import Any

import gradio as gr

from engine.access import Access
from engine.errors import NotOwner
from engine.guests import GuestCounts, Guests
from ui.dialog import Dialog, build_dialog
from ui.errors import shows_errors
from ui.guard import visitor_now
from ui.hosts import Hosts
from ui.tunnel import Tunnel

_QUESTION = (
    "<h3>End the link?</h3><p>Every guest is sent away and what they wrote is gone. Other browsers"
    " in which you are signed in are signed out. To share again, start Pomona again.</p>"
)


class Sharing:
    """What there is to a shared Pomona: who may come, who is there, and the link."""

    def __init__(self, access: Access, guests: Guests, hosts: Hosts, tunnel: Tunnel | None) -> None:
        self.access = access
        self.guests = guests
        self.url = ""
        self._hosts = hosts
        self._tunnel = tunnel

    def open_link(self, host: str, port: int) -> str:
        """Make the link, if one is wanted; returns its address. Raises LinkFailed."""
        if self._tunnel is not None:
            self.url = self._tunnel.open(host, port)
            self._hosts.add_tunnel(self.url.removeprefix("https://"))
        return self.url

    def end(self) -> None:
        """End the link and every guest's session, for the owner whose event this is."""
        visitor = visitor_now()
        if visitor is None:
            raise NotOwner("Only the owner of this Pomona may do this.")
        self.access.end_link(visitor)
        self.guests.end()
        self.close()

    def close(self) -> None:
        """Take the tunnel away; nothing else."""
        if self._tunnel is not None:
            self._tunnel.close()


@dataclass(frozen=True)
class SharingView:
    """The components of the panel."""

    text: gr.HTML
    end: gr.Button
    dialog: Dialog


class SharingHandlers:
    """One method per event."""

    def __init__(self, sharing: Sharing) -> None:
        self._sharing = sharing

    def look(self) -> tuple[Any, ...]:
        """How it stands now."""
        sharing, access = self._sharing, self._sharing.access
        text = format_sharing(
            sharing.url, access.is_open, access.ends_at, sharing.guests.counts,
            sharing.guests.models,
        )  # fmt: skip
        return text, gr.Button(visible=access.is_open)

    def ask(self) -> tuple[Any, ...]:
        """Open the question."""
        return gr.Column(visible=True), _QUESTION

    def keep(self) -> Any:
        """Close it; nothing ends."""
        return gr.Column(visible=False)

    def end(self) -> tuple[Any, ...]:
        """End the link."""
        self._sharing.end()
        return gr.Column(visible=False), *self.look()


def build_sharing() -> SharingView:
    """The layout, at the top of Manage."""
    with gr.Row(elem_id="sharing"):
        text = gr.HTML("", elem_id="sharing-text")
        end = gr.Button("End the link…", variant="stop", size="sm", scale=0, elem_id="end-link")
    return SharingView(text, end, build_dialog("end-link-dialog", "Keep it", "End the link"))


def wire_sharing(view: SharingView, handlers: SharingHandlers, tab: gr.Tab) -> None:
    """Which event calls which handler."""
    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    shown = [view.text, view.end]
    tab.select(shows_errors(handlers.look), None, shown, **private)
    asked = [view.dialog.panel, view.dialog.text]
    view.end.click(shows_errors(handlers.ask), None, asked, **private).success(
        None, None, None, js=view.dialog.open_js, **private
    )
    view.dialog.keep.click(shows_errors(handlers.keep), None, view.dialog.panel, **private)
    view.dialog.confirm.click(
        shows_errors(handlers.end), None, [view.dialog.panel, *shown], **private
    )


def format_sharing(
    url: str, is_open: bool, ends_at: float | None, counts: GuestCounts, models: tuple[str, ...]
) -> str:
    """The panel's text as markup."""
    out = '<a href="logout">Sign out</a>'
    if not is_open:
        return (
            "<h2>Shared</h2><p>Guests are let in no longer. Start Pomona again to share it again."
            f'</p><p class="note">{out}</p>'
        )
    link = f'<a href="{html.escape(url)}">{html.escape(url)}</a>' if url else "this address"
    ends = time.strftime("%H:%M on %d %B", time.localtime(ends_at or 0))
    until = f", until {ends}" if ends_at is not None else ""
    here = f"{counts.visitors} guest{'' if counts.visitors == 1 else 's'} in the last hour"
    names = html.escape(", ".join(models))
    return (
        f"<h2>Shared</h2><p>Guests chat at {link} with {names}{until}.</p>"
        f'<p class="note" role="status">{here}, {counts.answering} answers being written,'
        f" {counts.waiting} waiting · {out}</p>"
    )
