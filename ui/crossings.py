"""What leads from one tab to another, and what falls silent in a tab that is left."""

from typing import Any

import gradio as gr

from ui.chat import ChatView
from ui.conversation import Conversation
from ui.discover import DiscoverView
from ui.discover_handlers import DETAIL_OUTPUTS, DiscoverHandlers, Shown, Updates
from ui.errors import shows_errors
from ui.manage import ManageView
from ui.manage_handlers import ManageHandlers
from ui.manage_state import ManageShown
from ui.model_picker import ModelHandlers
from ui.pressed import pressed_place
from ui.theme import REVEAL_JS


class Crossings:
    """Handlers that act on two tabs."""

    def __init__(
        self, models: ModelHandlers, discover: DiscoverHandlers, manage: ManageHandlers
    ) -> None:
        self._models = models
        self._discover = discover
        self._manage = manage
        self.leave_discover = discover.leave_tab
        self.leave_manage = manage.leave_tab

    def chat_from_manage(self, shown: ManageShown, conversation: Conversation) -> list[Any]:
        """Chat with the model whose actions are open."""
        return self._chat_with(shown.chosen, conversation)

    def chat_from_discover(self, shown: Shown, conversation: Conversation) -> list[Any]:
        """Chat with the model whose details are open."""
        return self._chat_with(shown.offer.repo_id if shown.offer else "", conversation)

    async def look_at_pick(self, manage: ManageShown, shown: Shown, event: gr.EventData) -> Updates:
        """Open Discover on one of the good first models that Manage shows."""
        place = pressed_place(event)
        if not 0 <= place < len(manage.picks):
            return
        yield (gr.Tabs(selected="discover"), *(gr.skip() for _ in range(DETAIL_OUTPUTS)))
        async for update in self._discover.details(shown, manage.picks[place]):
            yield (gr.skip(), *update)

    def delete(self, shown: ManageShown, conversation: Conversation) -> list[Any]:
        """Delete the model that the dialogue was about, also from the chat's picker."""
        return [*self._manage.delete(shown), self._models.list_models(conversation)]

    def _chat_with(self, repo_id: str, conversation: Conversation) -> list[Any]:
        if not repo_id:
            return [gr.skip(), gr.skip()]
        return [gr.Tabs(selected="chat"), self._models.talk_to(repo_id, conversation)]


def wire_crossings(
    crossings: Crossings,
    tabs: gr.Tabs,
    every_tab: tuple[gr.Tab, gr.Tab, gr.Tab],
    chat: ChatView,
    discover: DiscoverView,
    manage: ManageView,
) -> None:
    """Which event leads where. Timers run in the tab that is seen alone."""
    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    there = [tabs, chat.model]
    manage.installed.chat.click(
        shows_errors(crossings.chat_from_manage),
        [manage.shown, chat.conversation],
        there,
        **private,
    )
    discover.download.chat.click(
        shows_errors(crossings.chat_from_discover), [discover.shown, chat.conversation], there,
        **private,
    )  # fmt: skip
    manage.dialog.confirm.click(
        shows_errors(crossings.delete), [manage.shown, chat.conversation],
        [manage.dialog.panel, *manage.everything(), chat.model], **private,
    )  # fmt: skip
    discover.download.manage.click(_to_manage, None, tabs, **private)
    manage.picks.select(
        shows_errors(crossings.look_at_pick), [manage.shown, discover.shown],
        [tabs, *discover.details()], **private,
    ).then(None, None, None, js=REVEAL_JS % "detail", **private)  # fmt: skip
    chat_tab, discover_tab, manage_tab = every_tab
    silent: dict[str, Any] = {**private, "queue": False}
    for tab in (chat_tab, manage_tab):
        tab.select(
            shows_errors(crossings.leave_discover),
            discover.shown,
            discover.download.timer,
            **silent,
        )
    for tab in (chat_tab, discover_tab):
        tab.select(shows_errors(crossings.leave_manage), manage.shown, manage.timer, **silent)


def _to_manage() -> Any:
    return gr.Tabs(selected="manage")
