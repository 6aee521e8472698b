"""The guests' page: the chat with the pinned models, and not a component more.

It is a Gradio app of its own, behind the same address. A guest cannot call what is not wired here,
by number or by name, because their requests never reach the owner's app; and its queue is another
one, so that guests who fill theirs never stand before the owner. Add a handler here by hand, with
``open_to_guests``, and to the list in ``tests/ui/test_guard.py``.
"""

from typing import Any, cast

import gradio as gr
from fastapi import FastAPI
from gradio.events import api
from starlette.middleware import Middleware

from engine import Engine
from engine.access import Access
from engine.guests import Guests
from ui.api import ApiHandlers
from ui.chat import LATEX, example_text
from ui.conversation import Conversation
from ui.edges import PlainPathsForClients
from ui.errors import reports_errors, shows_errors
from ui.format import format_choice
from ui.guard import guard, open_to_guests
from ui.guest_handlers import GuestChatHandlers
from ui.model_picker import examples_for
from ui.theme import HEAD_PATH, LOGO_PATH, STYLE_PATH, build_theme

MAX_WAITING_EVENTS = 100
STREAMS_AT_ONCE = 60
MOST_SESSIONS = 300
# The links of the log, to versions of a turn and to what goes on, become events.
_LINKS_JS = """
document.addEventListener('click', (event) => {
  const link = event.target.closest?.('#log a[href^="#"]');
  if (!link) return;
  event.preventDefault();
  event.stopPropagation();
  trigger('like', {target_link: link.getAttribute('href').slice(1)});
}, true);
"""
_PLACEHOLDER = (
    "## What is on your mind?\n"
    "What you write goes to the owner's computer, and is forgotten when you close the browser."
)


def build_guest_app(guests: Guests, access: Access) -> gr.Blocks:
    """The page, ready for ``serve_guest_app``."""
    demo: gr.Blocks
    with gr.Blocks(title="Pomona", fill_width=True, analytics_enabled=False) as demo:
        logo = LOGO_PATH.read_text(encoding="utf-8")
        with gr.Row(elem_id="guest-top"):
            gr.HTML(f'<div class="brand">{logo}<b>Pomona</b></div>')
            gr.HTML('<a class="sign-in" href="login">Owner? Sign in</a>')
        links = gr.HTML("", elem_id="links", js_on_load=_LINKS_JS)
        log, box, model, new_chat = _build_chat(guests)
        conversation = gr.State(Conversation())
        # First, so that a handler of the page with the same name does not take its place.
        endpoints = ApiHandlers(cast(Engine, guests), guests.models[0])
        api(open_to_guests(reports_errors(endpoints.chat)), api_name="chat")
        handlers = GuestChatHandlers(guests)
        _wire_chat(handlers, log, box, model, new_chat, links, conversation)
        demo.load(
            open_to_guests(shows_errors(handlers.come_back)), conversation, [log, box],
            api_visibility="private", show_progress="hidden",
        )  # fmt: skip
    demo.state_session_capacity = MOST_SESSIONS
    guard(demo, access)
    demo.queue(
        api_open=False, max_size=MAX_WAITING_EVENTS, default_concurrency_limit=STREAMS_AT_ONCE
    )
    return demo


def serve_guest_app(demo: gr.Blocks) -> FastAPI:
    """The page as an app that takes requests; its lifespan is to be run."""
    app = FastAPI(openapi_url=None)
    gr.mount_gradio_app(
        app, demo, path="",
        theme=build_theme(), css_paths=STYLE_PATH, head_paths=HEAD_PATH, favicon_path=None,
        footer_links=[], run_history=False, ssr_mode=False, show_error=True,
        enable_monitoring=False, max_file_size="1kb", mcp_server=False, pwa=False,
        app_kwargs={"middleware": [Middleware(PlainPathsForClients)]},
    )  # fmt: skip
    return app


def _build_chat(guests: Guests) -> tuple[gr.Chatbot, gr.Textbox, gr.Dropdown, gr.Button]:
    choices = [(format_choice(model), model.repo_id) for model in guests.library.list()]
    with gr.Row(elem_id="chat-bar"):
        model = gr.Dropdown(
            choices, value=guests.models[0], label="Model", show_label=False, container=False,
            elem_id="model", scale=3, min_width=180, filterable=False,
        )  # fmt: skip
        gr.HTML("", elem_id="model-status")
        new_chat = gr.Button("New chat", elem_id="new-chat", scale=0, min_width=96, size="md")
    with gr.Row(elem_id="chat-row"):
        with gr.Column(scale=1, min_width=280, elem_id="chat-main"):
            log = gr.Chatbot(
                elem_id="log", label="Conversation", show_label=False, layout="panel",
                buttons=["copy"], feedback_options=None, group_consecutive_messages=False,
                placeholder=_PLACEHOLDER, examples=examples_for(guests.models[0]),
                latex_delimiters=LATEX, height="100%", autoscroll=True, allow_tags=False,
                editable="user",
            )  # fmt: skip
            with gr.Column(elem_id="composer"):
                box = gr.Textbox(
                    elem_id="message", label="Message", show_label=False, lines=1, max_lines=8,
                    max_length=guests.limits.message_chars, placeholder="Write a message",
                    submit_btn=True, stop_btn=False, autofocus=True,
                )  # fmt: skip
    return log, box, model, new_chat


def _wire_chat(
    handlers: GuestChatHandlers, log: gr.Chatbot, box: gr.Textbox, model: gr.Dropdown,
    new_chat: gr.Button, links: gr.HTML, conversation: gr.State,
) -> None:  # fmt: skip
    """Which event calls which handler. Each is marked, and in the list of the test."""
    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    direct = {**private, "queue": False}
    asked, shown = [conversation, model], [log, box]
    ask = open_to_guests(shows_errors(handlers.ask))
    box.submit(ask, [box, *asked], shown, trigger_mode="multiple", **private)
    log.example_select(open_to_guests(example_text), None, box, **direct).then(
        ask, [box, *asked], shown, **private
    )
    for event, handler in (
        (log.retry, handlers.ask_again), (log.edit, handlers.change),
        (links.like, handlers.follow_link_in_log),
    ):  # fmt: skip
        event(open_to_guests(shows_errors(handler)), asked, shown, **private)
    new_chat.click(open_to_guests(shows_errors(handlers.begin_anew)), conversation, shown, **direct)
    box.stop(open_to_guests(shows_errors(handlers.stop)), conversation, None, **direct)
