"""Pomona's engine: finds, keeps and runs models. Knows nothing of the web page."""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace

from engine.answers import Answers
from engine.api_key import ApiKey
from engine.chats import Chats
from engine.comparing import Comparing
from engine.discover import Discover
from engine.downloads import Downloads
from engine.hub import HubClient
from engine.inference import (
    ChatTicket,
    InferenceService,
    Tools,
    check_messages,
    check_params,
    supported_architectures,
    with_system_prompt,
)
from engine.library import Library
from engine.machine import describe_machine, memory_budget_bytes
from engine.preferences import PLAIN_KV_BITS, Preferences
from engine.presets import Presets
from engine.records import (
    CheckedModel,
    DeviceFacts,
    GenerationStats,
    LoadedModel,
    MachineReport,
    Message,
    SamplingParams,
)
from engine.remote import RemoteService
from engine.settings import Settings

__version__ = "0.1.0"

__all__ = ["ChatTicket", "Engine", "Settings", "__version__"]


class Engine:
    """The services, opened and closed together."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.api_key = ApiKey(settings.data_dir / "api_key")
        self.preferences = Preferences(settings.data_dir / "preferences.json")
        self.presets = Presets(settings.data_dir / "presets.json")
        self.library = Library(
            settings, supported_architectures, self._known_budget_bytes, self._why_in_use,
            self._is_on_cpu,
        )  # fmt: skip
        client = HubClient()
        self.discover = Discover(
            settings, client, supported_architectures, self._known_budget_bytes, self._is_on_cpu
        )
        self.downloads = Downloads(
            settings.models_dir, client, self.discover, self.library.cached_file
        )
        self.inference = InferenceService(
            settings.limits, self._check, _budget_bytes, settings.cache_dir, self._note_use,
        )  # fmt: skip
        self.chats = Chats(settings.data_dir / "chats.sqlite3")
        self.remote = RemoteService(settings.data_dir / "remote_sources.json")
        self.answers = Answers(self.chat)
        self.comparing = Comparing(
            self.answers, self.chat, self.inference, self.library.find,
            self._known_budget_bytes, self.remote.knows,
        )  # fmt: skip
        self.keep_idle_models(self.preferences.idle_unload_min)

    def keep_idle_models(self, minutes: int | None) -> None:
        """Unload models that nobody has used for so long, None never; kept for the next start."""
        self.preferences.choose(idle_unload_min=minutes)
        chosen = self.preferences.idle_unload_min
        self.inference.idle_unload_s = None if chosen is None else chosen * 60.0

    def choose_kv_bits(self, repo_id: str, bits: int) -> "Future[LoadedModel]":
        """Keep what a model has read in so many bits per value from now on, and load it so.

        Raises InUse while it answers; the choice is then as it was.
        """
        self.inference.unload(repo_id)
        self.preferences.choose_kv_bits(repo_id, bits)
        return self.inference.load(repo_id)

    @classmethod
    def open(cls, settings: Settings) -> "Engine":
        """Make the folders and the services, and go on with downloads that were not over.

        Raises OSError when a folder cannot be made.
        """
        for folder in (settings.models_dir, settings.data_dir, settings.cache_dir):
            folder.mkdir(parents=True, exist_ok=True)
        engine = cls(settings)
        engine.downloads.open()
        threading.Thread(
            target=engine.library.clean_trash, name="pomona-trash", daemon=True
        ).start()
        return engine

    def chat(
        self, messages: Sequence[Message], params: SamplingParams, model_id: str,
        chat_id: str = "", tools: Tools = (),
    ) -> ChatTicket:  # fmt: skip
        """Ask a model to answer, here or on another server; ``chat_id`` as InferenceService.chat.

        ``tools`` are functions that it may want called, in OpenAI's form. The answer comes through
        the ticket, and so do the errors met on the way. Raises InvalidRequest, and Busy when the
        waiting line is full.
        """
        if not self.remote.knows(model_id):
            return self.inference.chat(messages, params, model_id, chat_id, tools)
        check_params(params)
        asked = with_system_prompt(messages, params)
        check_messages(asked, self.settings.limits)
        return self.remote.chat(asked, params, model_id, tools)

    def suggested(self, model_id: str) -> tuple[SamplingParams, bool]:
        """Settings to begin with, and whether the model's makers recommend them.

        Raises NotInstalled.
        """
        if self.remote.knows(model_id):
            return SamplingParams(), False
        model = self.library.find(model_id)
        return model.suggested, model.has_suggestions

    def machine(self) -> MachineReport:
        """What this computer offers; waits for mlx. Raises LoadFailed where mlx cannot start."""
        return describe_machine(self.inference.device_facts(), self.settings)

    def close(self) -> None:
        """End everything within a few seconds."""
        self.downloads.close()
        self.inference.close()
        self.remote.close()
        self.answers.close()
        self.chats.close()
        self.discover.close()
        self.library.close()

    def choose_draft(self, repo_id: str, draft_id: str) -> "Future[LoadedModel]":
        """Have a smaller model guess this one's words from now on, and load both.

        Raises InUse while it answers; the choice is then as it was.
        """
        self.inference.unload(repo_id)
        self.preferences.choose_draft(repo_id, draft_id)
        return self.inference.load(repo_id)

    def _check(self, repo_id: str) -> CheckedModel:
        checked = self.library.check(repo_id, self.preferences.kv_bits(repo_id))
        draft_id = self.preferences.draft(repo_id)
        if draft_id and draft_id in self.library.draft_choices(repo_id):
            draft = self.library.check(draft_id)
            both = checked.estimate.with_draft(draft.estimate)
            return replace(checked, draft=draft, estimate=both, alone=checked.estimate)
        return checked

    def _note_use(self, repo_id: str, stats: GenerationStats) -> None:
        """Remember an answer. Its memory counts where the model is as usual."""
        is_usual = self.preferences.kv_bits(repo_id) == PLAIN_KV_BITS
        if not is_usual or self.preferences.draft(repo_id):
            stats = replace(stats, model_peak_bytes=0)
        self.library.record_use(repo_id, time.time(), stats)

    def _why_in_use(self, repo_id: str) -> str | None:
        """Why a model must not be deleted now."""
        loaded = {model.repo_id for model in self.inference.loaded()}
        if repo_id in loaded or repo_id in self.inference.loading():
            return f"{repo_id} is loaded."
        return f"{repo_id} is being downloaded." if self.downloads.is_busy(repo_id) else None

    def _is_on_cpu(self) -> bool:
        """Whether models are known to run on a CPU."""
        facts = self.inference.known_device_facts()
        return facts is not None and facts.backend == "cpu"

    def _known_budget_bytes(self) -> int | None:
        facts = self.inference.known_device_facts()
        return None if facts is None else _budget_bytes(facts)


def _budget_bytes(facts: DeviceFacts) -> int:
    return memory_budget_bytes(facts.working_set_bytes)
