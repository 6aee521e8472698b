"""How often pages hear of answers that are being written."""

from ui.pacing import SLOWEST_UPDATE_S, UPDATE_S, poll_pause_s, update_pause_s


def test_one_answer_moves_ten_times_a_second() -> None:
    assert update_pause_s(0) == update_pause_s(1) == UPDATE_S


def test_twenty_updates_a_second_are_shared_by_up_to_ten_answers() -> None:
    for answers in range(2, 11):
        assert answers / update_pause_s(answers) <= 20


def test_nobody_waits_longer_than_half_a_second() -> None:
    assert update_pause_s(1_000) == SLOWEST_UPDATE_S
    assert poll_pause_s(1_000) < update_pause_s(1)


def test_a_long_log_and_a_long_answer_move_seldomer() -> None:
    assert update_pause_s(1, blocks=20, chars=5_000) == UPDATE_S
    assert UPDATE_S < update_pause_s(1, blocks=100) < SLOWEST_UPDATE_S
    assert UPDATE_S < update_pause_s(1, chars=20_000) < SLOWEST_UPDATE_S
    assert update_pause_s(1, blocks=10_000, chars=10**7) == SLOWEST_UPDATE_S
