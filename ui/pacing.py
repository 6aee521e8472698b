"""How often pages are told of the answers being written: seldomer where there are many. Pure.

Telling costs the processor time that, where there is no other device, computes the next tokens.
"""

UPDATE_S = 0.1
SLOWEST_UPDATE_S = 0.5
_POLL_S = 0.01
_SLOWEST_POLL_S = 0.05
_UPDATES_PER_S = 20  # of all answers together


def poll_pause_s(answers: int) -> float:
    """Seconds between two looks at one answer while so many are being written."""
    return min(_SLOWEST_POLL_S, _POLL_S * max(1, answers))


def update_pause_s(answers: int) -> float:
    """Seconds between two updates of one answer while so many are being written."""
    return min(SLOWEST_UPDATE_S, max(UPDATE_S, answers / _UPDATES_PER_S))
