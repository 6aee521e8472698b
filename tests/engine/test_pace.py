"""Nobody's answer stands still because somebody else's prompt is read."""

from engine.inference.pace import Pace


def taught(write_s: float, read_token_s: float) -> Pace:
    """After some steps of writing, and of reading while others write."""
    pace = Pace()
    for _ in range(30):
        pace.note(write_s, 0, is_writing=True)
        pace.note(write_s + 100 * read_token_s, 100, is_writing=True)
    return pace


def test_what_is_not_known_bounds_nothing() -> None:
    pace = Pace()
    assert pace.share(128, 1, is_writing=True) == 128
    pace.note(0.05, 0, is_writing=True)
    assert pace.share(128, 1, is_writing=True) == 128


def test_a_step_of_reading_takes_as_long_as_five_of_writing() -> None:
    assert taught(0.05, 0.25 / 80).share(128, 1, is_writing=True) in (79, 80)


def test_fast_readers_read_whole_steps_and_slow_ones_never_too_little() -> None:
    assert taught(0.05, 0.0001).share(128, 1, is_writing=True) == 128
    assert taught(0.001, 0.1).share(128, 1, is_writing=True) == 32
    assert taught(0.001, 0.1).share(2, 1, is_writing=True) == 1


def test_one_step_held_up_by_another_program_changes_little() -> None:
    pace = taught(0.05, 0.25 / 80)
    pace.note(60.0, 0, is_writing=True)
    assert pace.share(512, 1, is_writing=True) < 2.5 * 80


def test_reading_alone_is_learned_from_too() -> None:
    pace = Pace()
    pace.note(1.0, 100, is_writing=False)
    pace.note(0.1, 0, is_writing=True)
    assert pace.share(128, 1, is_writing=True) == 50


def test_several_prompts_share_what_the_others_have_patience_for() -> None:
    pace = taught(0.05, 0.25 / 80)
    assert pace.share(128, 2, is_writing=True) in (39, 40)
    assert pace.share(128, 4, is_writing=True) in (19, 20)


def test_while_nobody_writes_short_prompts_are_read_together_in_one_step() -> None:
    assert Pace().share(128, 8, is_writing=False) == 16
    assert taught(0.05, 0.0001).share(128, 8, is_writing=False) == 128
    assert taught(0.05, 0.001).share(128, 8, is_writing=False) in (24, 25)
    assert taught(0.05, 0.1).share(128, 8, is_writing=False) == 16
