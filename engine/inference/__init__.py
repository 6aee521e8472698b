"""Chat's engine: one thread owns MLX; others ask it through InferenceService."""

from engine.inference.architectures import supported_architectures
from engine.inference.mailbox import ChatTicket
from engine.inference.service import InferenceService

__all__ = ["ChatTicket", "InferenceService", "supported_architectures"]
