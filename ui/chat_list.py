"""The conversations beside the chat: found, opened, named, pinned, deleted, taken out and in."""

import functools
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from engine import Engine
from engine.chats import LISTED
from engine.comparing import Comparison
from engine.foreign_json import MAX_IMPORT_BYTES
from ui.answering import BUSY_BOX, IDLE_BOX
from ui.chat_files import ChatFileHandlers, ChatFiles, build_chat_files, wire_chat_files
from ui.chat_handlers import ChatHandlers
from ui.conversation import Conversation
from ui.errors import shows_errors
from ui.format_chats import format_chat_list

# Clicks on anything with data-act, and on the links of the log, become events of the list.
_ON_LOAD = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-act]');
  const isExport = button?.dataset.act.startsWith('export');
  if (!button) return;
  const {act, id} = button.dataset;
  trigger(isExport ? 'download' : 'select', {act, id, text: ''});
});
element.addEventListener('keydown', (event) => {
  const box = event.target.closest('input[data-act]');
  if (!box || event.isComposing || !['Enter', 'Escape'].includes(event.key)) return;
  event.preventDefault();
  const text = event.key === 'Enter' ? box.value : '';
  trigger('select', {act: 'title', id: box.dataset.id, text});
});
let held = null;  // the list is drawn anew by what its buttons do: the keyboard stays where it was
document.addEventListener('focusin', ({target}) => {
  held = element.contains(target) ? {...target.dataset} : null;
});
watch('value', () => {
  const title = element.querySelector('input[data-act]');
  if (title) return title.select();
  if (!held || document.activeElement !== document.body) return;
  const {act, id} = held;
  const same = (one) => one.dataset.id === id && (one.dataset.act === act || act === 'title');
  const buttons = [...element.querySelectorAll('button[data-act]')];
  (buttons.find(same) ?? buttons[0])?.focus();
});
window.pomonaFollow = (event) => {
  const link = event.target.closest?.('#log a[href^="#"]');
  if (!link) return;
  event.preventDefault();
  event.stopPropagation();
  trigger('like', {target_link: link.getAttribute('href').slice(1)});
};
window.pomonaImport = (event) => {  // Gradio would say nothing of a file that is too large
  const file = event.target.closest?.('#chats') && event.target.files?.[0];
  if (!file || file.size <= most_bytes) return;
  event.stopImmediatePropagation();
  trigger('upload', {id: String(file.size)});
  event.target.value = '';
};
if (!window.pomonaListens) {
  window.pomonaListens = true;
  document.addEventListener('change', (event) => window.pomonaImport(event), true);
  document.addEventListener('click', (event) => window.pomonaFollow(event), true);
  document.addEventListener('click', (event) => {  // on a phone the list lies over the chat
    const isBeside = !event.target.closest('#chats, #chats-button');
    if (innerWidth <= 1000 && (isBeside || event.target.closest('.chat')))
      document.getElementById('chat-row').classList.remove('turned');
  });
}
""".replace("most_bytes", str(MAX_IMPORT_BYTES))
_TOGGLE_JS = "() => document.getElementById('chat-row').classList.toggle('turned')"


@dataclass(frozen=True)
class ChatList:
    """The components beside the chat."""

    search: gr.Textbox
    entries: gr.HTML
    toggle: gr.Button
    files: ChatFiles


def build_chat_list(toggle: gr.Button) -> ChatList:
    """Lay the list out; ``toggle`` shows or hides it."""
    with gr.Column(scale=0, min_width=220, elem_id="chats"):
        search = gr.Textbox(
            label="Search chats", show_label=False, container=False, max_lines=1, max_length=200,
            placeholder="Search chats", elem_id="chat-search",
        )  # fmt: skip
        entries = gr.HTML("", elem_id="chat-list", js_on_load=_ON_LOAD)
        files = build_chat_files()
    return ChatList(search, entries, toggle, files)


class ChatListHandlers:
    """Acts on the stored conversations; what the page shows is turned by ChatHandlers."""

    def __init__(self, engine: Engine, chatting: ChatHandlers) -> None:
        self._engine = engine
        self._chatting = chatting
        self.files = ChatFileHandlers(chatting)

    def entries(self, conversation: Conversation) -> str:
        """The list as it is now."""
        chats = self._chatting.chats_of(conversation)
        found = chats.list(conversation.search, conversation.listed + 1)
        return format_chat_list(
            found[: conversation.listed], conversation.chat.chat_id if conversation.chat else "",
            self._engine.answers.chats_being_written(chats), bool(conversation.search.strip()),
            conversation.is_renaming, conversation.deleted, chats.problem,
            len(found) > conversation.listed,
        )  # fmt: skip

    def find(self, text: str, conversation: Conversation) -> str:
        """Show the conversations that hold these words."""
        conversation.search, conversation.listed = text or "", LISTED
        return self.entries(conversation)

    def beside(self, handler: Callable[..., Any]) -> Callable[..., AsyncIterator[Any]]:
        """A handler of the log and the box with the list as one more output.

        The list is made anew when there is something to show, and when all is over. The last
        update is then given once more, for the reason that Answering tells.
        """

        @functools.wraps(handler)
        async def stream(*values: Any) -> AsyncIterator[tuple[Any, ...]]:
            conversation = next(one for one in values if isinstance(one, Conversation))
            update: tuple[Any, ...] = ()
            async for newer in handler(*values):
                yield *newer, gr.skip() if update else self.entries(conversation)
                update = newer
            yield *update, self.entries(conversation)

        return stream

    async def act(
        self, data: gr.EventData, conversation: Conversation
    ) -> AsyncIterator[tuple[Any, ...]]:
        """A press in the list: values for the list, the log and the box."""
        act, chat_id = str(getattr(data, "act", "")), str(getattr(data, "id", ""))[:64]
        if act == "open":
            async for update in self._open(chat_id, conversation):
                yield update
            return
        cleared = self._change(act, chat_id, str(getattr(data, "text", "")), conversation)
        log, box = ([], gr.Textbox(**IDLE_BOX)) if cleared else (gr.skip(), gr.skip())
        yield self.entries(conversation), log, box

    def _change(self, act: str, chat_id: str, text: str, conversation: Conversation) -> bool:
        """Do it; whether the shown conversation is gone."""
        chats = self._chatting.chats_of(conversation)
        conversation.is_renaming = act == "rename"
        if act == "more":
            conversation.listed += LISTED
        elif act == "title":
            chats.rename(chat_id, text)
        elif act == "pin":
            chats.pin(chat_id, not next(
                (one.is_pinned for one in chats.list() if one.chat_id == chat_id), False
            ))  # fmt: skip
        elif act == "undo":
            chats.undo_delete(chat_id)
            conversation.deleted = None
        elif act == "delete":
            deleted = next((one for one in chats.list() if one.chat_id == chat_id), None)
            chats.delete(chat_id)
            self._engine.answers.stop_all(chats, chat_id)
            self._engine.inference.kept_prompts.forget(chat_id)
            conversation.deleted = deleted
            if conversation.chat and conversation.chat.chat_id == chat_id:
                conversation.show(None)
                return True
        return False

    async def _open(
        self, chat_id: str, conversation: Conversation
    ) -> AsyncIterator[tuple[Any, ...]]:
        """Show a conversation, and follow its answer if one is being written."""
        chats = self._chatting.chats_of(conversation)
        conversation.show(chats.read(chat_id))
        if (compared := self._compared_at_end(conversation)) is not None:
            conversation.compared, conversation.comes_back = compared, True
            conversation.answering_id = compared.message_ids[-1]
            box = gr.Textbox(**BUSY_BOX)
            yield self.entries(conversation), self._chatting.blocks(conversation), box
            return
        running = self._chatting.running_at_end(conversation)
        box = gr.Textbox(**(BUSY_BOX if running else IDLE_BOX))
        yield self.entries(conversation), self._chatting.blocks(conversation), box
        if running is not None:
            async for log, box in self._chatting.follow(conversation, running):
                yield gr.skip(), log, box
            yield self.entries(conversation), log, box  # once more, see beside

    def _compared_at_end(self, conversation: Conversation) -> Comparison | None:
        """The answers that are being written side by side to the last message."""
        chat = conversation.chat
        if chat is None or not chat.messages:
            return None
        chats = self._chatting.chats_of(conversation)
        return self._engine.comparing.find(chats, chat.messages[-1].message_id)


def wire_chat_list(
    view: ChatList, handlers: ChatListHandlers, conversation: gr.State, shown: list[Any]
) -> Any:
    """Which event calls which handler; ``shown`` are the log and the box.

    Gives the event that opens conversations, for what else has to follow it.
    """
    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    opened = view.entries.select(
        shows_errors(handlers.act), conversation, [view.entries, *shown], **private
    )  # fmt: skip
    listing = shows_errors(handlers.entries), conversation, view.entries
    wire_chat_files(view.files, handlers.files, view.entries, listing, conversation, shown)
    view.search.input(
        shows_errors(handlers.find), [view.search, conversation], view.entries,
        trigger_mode="always_last", **private,
    )  # fmt: skip
    view.toggle.click(None, None, None, js=_TOGGLE_JS, **private)
    return opened
