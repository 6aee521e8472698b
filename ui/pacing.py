"""How often pages are told of the answers being written: seldomer where that costs more. Pure.

It costs the processor time that, where there is no other device, computes the next tokens: for
each page, and in the browser for everything in the log and each character of the answer.
"""

UPDATE_S = 0.1
SLOWEST_UPDATE_S = 0.5
POLL_S = 0.01
SLOWEST_POLL_S = 0.05
_UPDATES_PER_S = 20  # of all answers together
_BLOCKS_PER_S = 400
_CHARS_PER_S = 100_000


def poll_pause_s(answers: int) -> float:
    """Seconds between two looks at one answer while so many are being written."""
    return min(SLOWEST_POLL_S, POLL_S * max(1, answers))


def update_pause_s(answers: int, blocks: int = 0, chars: int = 0) -> float:
    """Seconds between two updates of one answer of so many that are being written.

    ``blocks`` stand in its page's log, and it has ``chars`` characters by now.
    """
    shares_s = (answers / _UPDATES_PER_S, blocks / _BLOCKS_PER_S, chars / _CHARS_PER_S)
    return min(SLOWEST_UPDATE_S, max(UPDATE_S, *shares_s))
