"""Chat's engine: one thread owns MLX; others ask it through InferenceService."""

from engine.inference.architectures import supported_architectures
from engine.inference.requests import check_params
from engine.inference.service import InferenceService
from engine.mailbox import ChatTicket

__all__ = ["ChatTicket", "InferenceService", "check_params", "supported_architectures"]
