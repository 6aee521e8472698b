"""The score: from 0 to 100, rising where it should."""

import random
from dataclasses import replace

from engine.hub.score import score_model
from engine.records import ChatReadiness, Fit, ModelSummary

NOW_AT = 1_760_000_000.0
READY = ChatReadiness(True)
BLOCKED = ChatReadiness(False, ("No.",))
FITS: tuple[Fit, ...] = ("too large", "unknown", "tight", "fits")


def some_model(draw: random.Random) -> ModelSummary:
    return ModelSummary(
        f"org/model-{draw.randrange(1000)}",
        downloads=int(10 ** draw.uniform(0, 8)) - 1,
        likes=int(10 ** draw.uniform(0, 5)) - 1,
        trending=draw.choice([0.0, draw.uniform(0, 500)]),
        updated_at=draw.choice([None, NOW_AT - draw.uniform(0, 1e8)]),
        license=draw.choice([None, "mit"]),
        base_models=draw.choice([(), ("org/base",)]),
        guessed=draw.choice([(), ("bits",)]),
    )


def total(model: ModelSummary, fit: Fit = "fits", readiness: ChatReadiness = READY) -> float:
    return score_model(model, fit, readiness, NOW_AT).total


def test_the_parts_add_up_and_stay_within_0_and_100() -> None:
    draw = random.Random(1)
    for _ in range(500):
        fit, readiness = draw.choice(FITS), draw.choice([READY, BLOCKED])
        score = score_model(some_model(draw), fit, readiness, NOW_AT)
        assert 0 <= score.total <= 100
        assert abs(sum(score.parts.values()) - score.total) < 0.051


def test_more_of_anything_good_never_lowers_the_score() -> None:
    draw = random.Random(2)
    for _ in range(500):
        model = some_model(draw)
        before = total(model)
        more = draw.randrange(1, 10**6)
        assert total(replace(model, downloads=model.downloads + more)) >= before
        assert total(replace(model, likes=model.likes + more)) >= before
        assert total(replace(model, trending=model.trending + more)) >= before
        assert total(replace(model, license="apache-2.0")) >= before
        assert total(replace(model, guessed=())) >= before
        newer_at = NOW_AT if model.updated_at is None else min(NOW_AT, model.updated_at + more)
        assert total(replace(model, updated_at=newer_at)) >= before


def test_a_better_fit_and_readiness_never_lower_the_score() -> None:
    model = some_model(random.Random(3))
    by_fit = [total(model, fit) for fit in FITS]
    assert by_fit == sorted(by_fit) and by_fit[0] < by_fit[-1]
    assert total(model, readiness=BLOCKED) < total(model)


def test_a_date_in_the_future_counts_as_now() -> None:
    model = ModelSummary("a/b", updated_at=NOW_AT)
    assert total(replace(model, updated_at=NOW_AT + 1e9)) == total(model)


def test_an_unknown_model_that_does_not_fit_scores_next_to_nothing() -> None:
    model = ModelSummary("a/b", guessed=("bits",))
    assert total(model, "too large", BLOCKED) == 0


def test_a_famous_new_chat_model_that_fits_scores_nearly_everything() -> None:
    model = ModelSummary(
        "a/b", downloads=10**6, likes=1000, trending=100, updated_at=NOW_AT, license="mit",
        base_models=("a/c",),
    )  # fmt: skip
    assert total(model) == 100
