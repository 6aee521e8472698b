"""The bytes that one token stands for, which may be a part of a character. Pure."""

import re
from typing import Any

_BYTE_NAME = re.compile(r"<0x([0-9A-Fa-f]{2})>")


def token_bytes(tokenizer: Any, token: int) -> bytes:
    """A token's bytes: its text's, or those that byte-level vocabularies name it by."""
    text = str(tokenizer.decode([token]))
    if "\ufffd" not in text:
        return text.encode()
    name = str(tokenizer.convert_ids_to_tokens(token))
    if match := _BYTE_NAME.fullmatch(name):
        return bytes([int(match[1], 16)])
    if all(letter in _BYTE_OF_LETTER for letter in name):
        return bytes(_BYTE_OF_LETTER[letter] for letter in name)
    return text.encode()


def _byte_of_letter() -> dict[str, int]:
    """GPT-2's letters for bytes: themselves where they can be seen, 256 and on for the others."""
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in visible]
    return {chr(byte): byte for byte in visible} | {
        chr(256 + n): byte for n, byte in enumerate(hidden)
    }


_BYTE_OF_LETTER = _byte_of_letter()
