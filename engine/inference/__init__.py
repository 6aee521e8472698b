"""Chat's engine: one thread owns MLX; others ask it through InferenceService."""

from engine.inference.architectures import supported_architectures
from engine.inference.context import with_system_prompt
from engine.inference.requests import MAX_LOGPROBS, PARAM_RANGES, check_messages, check_params
from engine.inference.service import InferenceService
from engine.inference.tool_text import Tools
from engine.mailbox import ChatTicket

__all__ = [
    "MAX_LOGPROBS",
    "PARAM_RANGES",
    "ChatTicket",
    "InferenceService",
    "Tools",
    "check_messages",
    "check_params",
    "supported_architectures",
    "with_system_prompt",
]
