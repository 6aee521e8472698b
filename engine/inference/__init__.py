"""Chat's engine: one thread owns MLX; others ask it through InferenceService."""

from engine.inference.architectures import supported_architectures
from engine.inference.context import with_system_prompt
from engine.inference.requests import PARAM_RANGES, check_messages, check_params
from engine.inference.service import InferenceService
from engine.mailbox import ChatTicket

__all__ = [
    "PARAM_RANGES",
    "ChatTicket",
    "InferenceService",
    "check_messages",
    "check_params",
    "supported_architectures",
    "with_system_prompt",
]
