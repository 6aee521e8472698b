"""The contents page: the header, the three tabs, and how the page is served."""

from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from engine import Engine
from engine.access import Access
from ui.api import ApiHandlers, wire_api
from ui.api_discover import DiscoverApi
from ui.api_manage import ManageApi
from ui.attachments import AttachmentHandlers
from ui.cache_choice import CacheChoice
from ui.chat import ChatView, build_chat, wire_chat
from ui.chat_handlers import ChatHandlers
from ui.chat_list import ChatListHandlers
from ui.chat_settings import ChatSettingsHandlers, ChatSettingsPage, wire_chat_settings
from ui.compare_handlers import CompareHandlers
from ui.connections import ConnectionsHandlers, build_connections, wire_connections
from ui.context_meter import MeterHandlers, wire_meter
from ui.crossings import Crossings, wire_crossings
from ui.discover import build_discover, wire_discover
from ui.discover_handlers import DiscoverHandlers
from ui.draft_choice import DraftChoice
from ui.edges import PlainPathsForClients
from ui.errors import shows_errors
from ui.format import format_machine
from ui.guard import guard
from ui.kept_prompts import KeptPromptsHandlers, wire_kept_prompts
from ui.manage import build_manage, wire_manage
from ui.manage_handlers import ManageHandlers
from ui.model_choice import wire_model_choice
from ui.model_picker import ModelHandlers
from ui.presets import PresetHandlers, wire_presets
from ui.serving import Lifespan
from ui.sharing import Sharing, SharingHandlers, build_sharing, wire_sharing
from ui.theme import HEAD_PATH, LOGO_PATH, STYLE_PATH, build_theme

MAX_WAITING_EVENTS = 256
STREAMS_AT_ONCE = 64
MAX_UPLOAD = "50mb"  # what is read of it is less, see engine.attachments and engine.chats.imports


def build_app(
    engine: Engine, default_model: str, access: Access, sharing: Sharing | None = None
) -> gr.Blocks:
    """The owner's page, ready for ``launch(**launch_options(...))``."""
    demo: gr.Blocks
    with gr.Blocks(title="Pomona", fill_width=True, analytics_enabled=False) as demo:
        machine = _build_header()
        with gr.Tabs(elem_id="tabs") as tabs:
            with gr.Tab("Chat", id="chat", elem_id="tab-chat") as chat_tab:
                chat = build_chat()
            with gr.Tab("Discover", id="discover", elem_id="tab-discover") as discover_tab:
                discover = build_discover()
            with gr.Tab("Manage", id="manage", elem_id="tab-manage") as manage_tab:
                shared = build_sharing() if sharing else None
                manage = build_manage()
                connections = build_connections()
        # First, so that a handler of the page with the same name does not take its place.
        wire_api(ApiHandlers(engine, default_model), DiscoverApi(engine), ManageApi(engine))
        chatting, finding = ChatHandlers(engine), DiscoverHandlers(engine)
        models = ModelHandlers(engine, default_model)
        managing = ManageHandlers(engine)
        changed = wire_chat(
            chat, chatting, models, ChatListHandlers(engine, chatting),
            AttachmentHandlers(engine), CompareHandlers(engine, chatting), demo, chat_tab,
        )  # fmt: skip
        _wire_model_choices(engine, chat, models)
        _wire_composer(engine, chat, chatting, changed, (demo.load, chat_tab.select))
        wire_discover(discover, finding, discover_tab)
        wire_manage(manage, managing, manage_tab)
        if sharing is not None and shared is not None:
            wire_sharing(shared, SharingHandlers(sharing), manage_tab)
        wire_connections(connections, ConnectionsHandlers(engine), manage_tab)
        wire_kept_prompts(manage.kept, KeptPromptsHandlers(engine), manage_tab)
        wire_crossings(
            Crossings(models, finding, managing), tabs, (chat_tab, discover_tab, manage_tab),
            chat, discover, manage,
        )  # fmt: skip
        demo.load(
            shows_errors(_MachineHandler(engine).show), None, machine,
            show_progress="hidden", api_visibility="private",
        )  # fmt: skip
    guard(demo, access)
    demo.queue(
        api_open=False,
        max_size=MAX_WAITING_EVENTS,
        default_concurrency_limit=STREAMS_AT_ONCE,
    )
    return demo


def _wire_composer(
    engine: Engine, chat: ChatView, chatting: ChatHandlers, changed: list[Any],
    shown: tuple[Any, ...],
) -> None:  # fmt: skip
    """What stands below the box, presets and the meter, and the settings a chat comes with."""
    chosen = wire_presets(
        chat.presets, PresetHandlers(engine), chat.settings, chat.conversation, shown
    )
    page = ChatSettingsPage(
        chat.conversation, chat.chats.entries, chat.new_chat, chat.model, chat.presets.choice,
        chat.settings,
    )  # fmt: skip
    brought = wire_chat_settings(page, ChatSettingsHandlers(engine, chatting))
    wire_meter(
        chat.meter, MeterHandlers(engine), chat.box, chat.conversation, chat.model,
        chat.settings, chat.attachments.chips, [*changed, *brought, chosen],
    )  # fmt: skip


def _wire_model_choices(engine: Engine, chat: ChatView, models: ModelHandlers) -> None:
    """What is chosen for a model, and not for an answer."""
    shown = chat.model, chat.model_status, chat.conversation
    wire_model_choice(chat.settings.kv_bits, CacheChoice(engine, models.follow_load), *shown)
    wire_model_choice(chat.settings.draft, DraftChoice(engine, models.follow_load), *shown)


def launch_options(lifespan: Lifespan) -> dict[str, Any]:
    """Arguments of ``launch`` that are the page's own: look, and nothing that calls out.

    ``share`` is said to be off, because Gradio switches it on by itself in some places.
    """
    return {
        "theme": build_theme(),
        "css_paths": STYLE_PATH,
        "head_paths": HEAD_PATH,
        "favicon_path": LOGO_PATH,
        "run_history": False,
        "footer_links": [],
        "ssr_mode": False,
        "show_error": True,
        "enable_monitoring": False,
        "max_file_size": MAX_UPLOAD,
        "quiet": True,
        "share": False,
        "mcp_server": False,
        # Gradio would ask its own page first, and not start where that takes 3 s.
        "_frontend": False,
        "app_kwargs": {"middleware": [Middleware(PlainPathsForClients)], "lifespan": lifespan},
    }


def _build_header() -> gr.HTML:
    logo = LOGO_PATH.read_text(encoding="utf-8")
    with gr.Row(elem_id="top"):
        gr.HTML(f'<div class="brand">{logo}<h1>Pomona</h1></div>', elem_id="brand")
        return gr.HTML("", elem_id="machine")


class _MachineHandler:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def show(self) -> str:
        return format_machine(self._engine.machine())
