"""The end of the Manage tab: other servers as sources of models, and the key for programs."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from engine import Engine
from engine.remote import RemoteSource
from ui.dialog import Dialog, build_dialog
from ui.errors import shows_errors

_SERVERS_NOTE = (
    "Models of any server that speaks OpenAI's API, such as a larger computer of yours, can be"
    " chatted with like those here. What you write to them is sent there."
)
_PROGRAMS_NOTE = (
    "Programs that speak OpenAI's API can use the models here: give them this address and the key."
    " Who has the key can chat as you can."
)
_RENEW = (
    "<h3>Make a new key?</h3><p>The old one is worth nothing from then on: every program that has"
    " it needs the new one.</p>"
)
_LABEL_SHOW = "Show the key"


@dataclass(frozen=True)
class ConnectionsView:
    """The components of both parts."""

    servers: gr.HTML
    name: gr.Textbox
    url: gr.Textbox
    key: gr.Textbox
    models: gr.Textbox
    add: gr.Button
    chosen: gr.Dropdown
    ask: gr.Button
    remove: gr.Button
    address: gr.Textbox
    api_key: gr.Textbox
    show: gr.Button
    renew: gr.Button
    dialog: Dialog

    def typed(self) -> list[Any]:
        """What was typed about a server."""
        return [self.name, self.url, self.key, self.models]

    def listed(self) -> list[Any]:
        """Outputs of a look at the servers."""
        return [self.servers, self.chosen, self.ask, self.remove]


def build_connections() -> ConnectionsView:
    """The layout, below everything else in Manage."""
    gr.HTML("<h2>Other servers</h2>", elem_classes="heading later")
    gr.HTML(f'<p class="note">{_SERVERS_NOTE}</p>')
    servers = gr.HTML("", elem_id="servers")
    with gr.Row(elem_id="server-actions", elem_classes="fields"):
        chosen = gr.Dropdown([], label="Server", elem_id="server", visible=False, min_width=200)
        ask = gr.Button("Ask for its models", elem_id="server-ask", visible=False, size="md")
        remove = gr.Button("Remove", elem_id="server-remove", visible=False, size="md")
    with gr.Row(elem_id="server-form", elem_classes="fields"):
        name = gr.Textbox(
            label="Name", placeholder="lab", elem_id="server-name", max_lines=1, min_width=120
        )
        url = gr.Textbox(
            label="Address", placeholder="http://192.168.1.5:8080/v1", elem_id="server-url",
            max_lines=1, min_width=240, scale=2,
        )  # fmt: skip
        key = gr.Textbox(
            label="Key, if it wants one", type="password", elem_id="server-key", max_lines=1,
            min_width=160,
        )  # fmt: skip
        models = gr.Textbox(
            label="Models, if it lists none", placeholder="one, another", elem_id="server-models",
            max_lines=1, min_width=160,
        )  # fmt: skip
        add = gr.Button("Add the server", elem_id="server-add", size="md", min_width=140)
    gr.HTML("<h2>For programs</h2>", elem_classes="heading later")
    gr.HTML(f'<p class="note">{_PROGRAMS_NOTE}</p>')
    with gr.Row(elem_id="program-row", elem_classes="fields"):
        address = gr.Textbox(
            label="Address", interactive=False, buttons=["copy"], elem_id="api-address",
            min_width=240, max_lines=1,
        )  # fmt: skip
        api_key = gr.Textbox(
            label="Key", interactive=False, buttons=["copy"], elem_id="api-key", min_width=240,
            scale=2, max_lines=1, placeholder="hidden",
        )  # fmt: skip
        show = gr.Button(_LABEL_SHOW, elem_id="api-key-show", size="md", min_width=140)
        renew = gr.Button("New key…", elem_id="api-key-renew", size="md", min_width=120)
    dialog = build_dialog("key-dialog", "Keep the old one", "Make a new key")
    return ConnectionsView(servers, name, url, key, models, add, chosen, ask, remove, address,
                           api_key, show, renew, dialog)  # fmt: skip


class ConnectionsHandlers:
    """One method per event."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def open_tab(self, request: gr.Request) -> list[Any]:
        """Show the servers, and where programs find this Pomona. The key stays hidden."""
        assert request.request is not None  # a visitor's event always has one
        url = request.request.url
        address = f"{url.scheme}://{url.netloc}/v1"
        return [*self.look(), address, gr.Textbox(value=""), gr.Button(_LABEL_SHOW)]

    def look(self, chosen: str | None = None) -> list[Any]:
        """Values for ``ConnectionsView.listed``."""
        sources = self._engine.remote.list()
        names = [source.name for source in sources]
        value = chosen if chosen in names else names[0] if names else None
        return [
            format_servers(sources),
            gr.Dropdown(choices=names, value=value, visible=bool(names)),
            gr.Button(visible=bool(names)),
            gr.Button(visible=bool(names)),
        ]

    def add(self, name: str, url: str, key: str, models: str) -> list[Any]:
        """Keep a server, and empty the form."""
        source = self._engine.remote.add(name, url, key, models)
        return [*self.look(source.name), "", "", "", ""]

    def ask(self, name: str) -> list[Any]:
        """Ask the chosen server for its models."""
        self._engine.remote.refresh(name or "")
        return self.look(name)

    def remove(self, name: str) -> list[Any]:
        """Forget the chosen server and its key."""
        self._engine.remote.remove(name or "")
        return self.look()

    def toggle_key(self, shown: str) -> tuple[str, Any]:
        """Show the key, or hide it again."""
        if shown:
            return "", gr.Button(_LABEL_SHOW)
        return self._engine.api_key.reveal(), gr.Button("Hide the key")

    def ask_renew(self) -> tuple[Any, str]:
        """Open the question."""
        return gr.Column(visible=True), _RENEW

    def keep(self) -> Any:
        """Close the question; the key stays."""
        return gr.Column(visible=False)

    def renew(self) -> tuple[Any, str, Any]:
        """Make a new key, and show it."""
        return gr.Column(visible=False), self._engine.api_key.renew(), gr.Button("Hide the key")


def wire_connections(view: ConnectionsView, handlers: ConnectionsHandlers, tab: gr.Tab) -> None:
    """Which event calls which handler."""
    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    busy: dict[str, Any] = {"api_visibility": "private", "show_progress": "minimal"}
    listed, dialog = view.listed(), view.dialog
    opened = [*listed, view.address, view.api_key, view.show]
    tab.select(shows_errors(handlers.open_tab), None, opened, **private)
    view.add.click(
        shows_errors(handlers.add), view.typed(), [*listed, *view.typed()],
        show_progress_on=view.add, **busy,
    )  # fmt: skip
    view.ask.click(
        shows_errors(handlers.ask), view.chosen, listed, show_progress_on=view.ask, **busy
    )
    view.remove.click(shows_errors(handlers.remove), view.chosen, listed, **private)
    revealed = [view.api_key, view.show]
    view.show.click(shows_errors(handlers.toggle_key), view.api_key, revealed, **private)
    view.renew.click(
        shows_errors(handlers.ask_renew), None, [dialog.panel, dialog.text], **private
    ).success(None, None, None, js=dialog.open_js, **private)
    dialog.keep.click(shows_errors(handlers.keep), None, dialog.panel, **private)
    dialog.confirm.click(shows_errors(handlers.renew), None, [dialog.panel, *revealed], **private)


def format_servers(sources: Sequence[RemoteSource]) -> str:
    """The servers with what is known of them; foreign text is escaped."""
    return "".join(_server(source) for source in sources)


def _server(source: RemoteSource) -> str:
    count = len(source.offered())
    models = f"{count:,} model{'' if count == 1 else 's'}"
    problem = html.escape(source.problem)
    state = f'<p class="job-line problem">{problem}</p>' if problem else ""
    return (
        f'<div class="server"><div class="job-head"><b>{html.escape(source.name)}</b>'
        f'<span class="job-state">{models}</span></div>'
        f'<p class="job-line">{html.escape(source.url)}</p>{state}</div>'
    )
