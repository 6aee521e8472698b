"""Transfers: a model's files over HTTP, ranged, resumable and verified. One model at a time."""

from engine.library.transfers.checking import nothing_cached
from engine.library.transfers.connection import Origin
from engine.library.transfers.hashing import hash_matches
from engine.library.transfers.limits import TransferLimits
from engine.library.transfers.model_transfer import FILES_NAME, ModelTransfer, present_bytes
from engine.library.transfers.paths import check_files
from engine.library.transfers.progress import TransferProgress

__all__ = [
    "FILES_NAME",
    "ModelTransfer",
    "Origin",
    "TransferLimits",
    "TransferProgress",
    "check_files",
    "hash_matches",
    "nothing_cached",
    "present_bytes",
]
