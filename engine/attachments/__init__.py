"""Text out of the files that people attach: foreign bytes in, plain text or a sentence out."""

from engine.attachments.reader import MAX_FILE_BYTES, read_attachment, too_large
from engine.attachments.tokens import estimate_tokens

__all__ = ["MAX_FILE_BYTES", "estimate_tokens", "read_attachment", "too_large"]
