"""The exceptions of the engine, defined by who sees them.

::

    EngineError(message, hint)
    ├ ModelError        NotInstalled · Unsupported · Damaged · LoadFailed · InUse
    │                   InsufficientMemory(needed_bytes, budget_bytes)
    ├ GenerationError   ContextOverflow(prompt_tokens, limit_tokens) · TemplateFailed
    │                   Busy · InvalidRequest · ToolsUnsupported
    ├ HubError          Offline · RepoNotFound · Gated · RateLimited(retry_after_s) · HubBroken
    ├ DownloadError     InsufficientDisk(needed_bytes, free_bytes) · IntegrityFailed · Interrupted
    ├ ChatsError        ChatNotFound · ChatChanged · ChatsUnavailable · ImportFailed
    ├ RemoteError       RemoteUnreachable · RemoteRefused · RemoteBroken · InvalidSource
    ├ AttachmentError
    ├ PresetFailed
    └ AccessError       NotOwner · QuotaExceeded · LinkEnded · LinkFailed
    Cancelled(Exception)    control flow, never shown

``message`` is one sentence for the person, ``hint`` says what to do next; the foreign
cause stays on ``__cause__`` for the log.
"""


class EngineError(Exception):
    """Anything the engine can tell a person about: a sentence and a hint."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    @property
    def text(self) -> str:
        """The sentence and the hint as one line of plain text."""
        return f"{self.message} {self.hint}".strip()


class ModelError(EngineError):
    """Something about one model."""


class NotInstalled(ModelError):
    """No installed model has this name."""


class Unsupported(ModelError):
    """The installed mlx-lm cannot run this model, or only by running its own code."""


class Damaged(ModelError):
    """Files of the model are missing, truncated or do not fit each other."""


class LoadFailed(ModelError):
    """mlx-lm refused the model for a reason not known beforehand."""


class InUse(ModelError):
    """The model is answering somebody and cannot be unloaded or changed now."""


class InsufficientMemory(ModelError):
    """The model would not fit into the memory budget."""

    def __init__(self, message: str, hint: str, needed_bytes: int, budget_bytes: int) -> None:
        super().__init__(message, hint)
        self.needed_bytes = needed_bytes
        self.budget_bytes = budget_bytes


class GenerationError(EngineError):
    """Something about one answer."""


class ContextOverflow(GenerationError):
    """The conversation is longer than the model's context."""

    def __init__(self, message: str, hint: str, prompt_tokens: int, limit_tokens: int) -> None:
        super().__init__(message, hint)
        self.prompt_tokens = prompt_tokens
        self.limit_tokens = limit_tokens


class TemplateFailed(GenerationError):
    """The model has no chat template, or it could not be rendered."""


class Busy(GenerationError):
    """The waiting line is full."""


class InvalidRequest(GenerationError):
    """A message or a setting is not of the form that a chat takes."""


class ToolsUnsupported(GenerationError):
    """The model was not made to call tools, or its calls cannot be read."""


class HubError(EngineError):
    """Something about the Hugging Face Hub."""


class Offline(HubError):
    """The Hub cannot be reached."""


class RepoNotFound(HubError):
    """The repo does not exist, or is private."""


class Gated(HubError):
    """The repo asks for permission first."""


class RateLimited(HubError):
    """The Hub asked us to wait."""

    def __init__(self, message: str, hint: str, retry_after_s: float) -> None:
        super().__init__(message, hint)
        self.retry_after_s = retry_after_s


class HubBroken(HubError):
    """The Hub answered with something that is not an answer."""


class DownloadError(EngineError):
    """Something about one download."""


class InsufficientDisk(DownloadError):
    """There is not enough room on the disk."""

    def __init__(self, message: str, hint: str, needed_bytes: int, free_bytes: int) -> None:
        super().__init__(message, hint)
        self.needed_bytes = needed_bytes
        self.free_bytes = free_bytes


class IntegrityFailed(DownloadError):
    """A file's content is not what the Hub said it would be."""


class Interrupted(DownloadError):
    """A transfer ended before its file was whole."""


class ChatsError(EngineError):
    """Something about the conversations that are kept."""


class ChatNotFound(ChatsError):
    """There is no such conversation or message."""


class ChatChanged(ChatsError):
    """Somebody else changed the conversation since its author saw it; nothing was written."""


class ChatsUnavailable(ChatsError):
    """The file of conversations is locked, damaged, or on a full disk."""


class ImportFailed(ChatsError):
    """What should be imported is not of a form that can be."""


class RemoteError(EngineError):
    """Something about another server that answers."""


class RemoteUnreachable(RemoteError):
    """The server is down, or does not answer in time."""


class RemoteRefused(RemoteError):
    """The server answered that it will not."""


class RemoteBroken(RemoteError):
    """The server sent something that is no answer, or broke off in the middle."""


class InvalidSource(RemoteError):
    """What was typed about a server makes no sense."""


class AttachmentError(EngineError):
    """A file whose text cannot be put into a prompt."""


class PresetFailed(EngineError):
    """A preset that is not there, cannot be read, or cannot be kept."""


class AccessError(EngineError):
    """Something that this visitor may not do."""


class NotOwner(AccessError):
    """Only the owner may do this."""


class QuotaExceeded(AccessError):
    """A guest used up what a guest may use."""


class LinkEnded(AccessError):
    """The owner, or the clock, ended the time of guests."""


class LinkFailed(AccessError):
    """No share link could be made."""


class Cancelled(Exception):
    """The person stopped it. Control flow, never shown."""
