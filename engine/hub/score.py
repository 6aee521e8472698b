"""A score from 0 to 100 that says how good a choice a model is on this machine. Pure.

The parts, and why they weigh what they do:

- fit, 25: a model that does not fit is of no use, one that fits tightly is a poor first choice.
- readiness, 25: a model that will not chat is of no use in a chat app.
- popularity, 25: what many people use tends to work. Downloads (17) and likes (8) count by their
  logarithm, since ten times as many is one step better, not ten; full marks at a million downloads
  and at a thousand likes.
- momentum, 15: what is used now (trending, 7), and what is new (8): it halves every 180 days.
- provenance, 10: who made it is stated: licence (4), base model (3), and facts that were read
  rather than guessed from the name (3).

Every part rises with what it measures and never falls; ties are broken by downloads and name.
"""

import math

from engine.records import ChatReadiness, Fit, ModelSummary, Score

FULL_DOWNLOADS = 1_000_000
FULL_LIKES = 1_000
FULL_TRENDING = 100
HALF_LIFE_S = 180 * 86_400.0
_FIT_POINTS: dict[Fit, float] = {"fits": 25.0, "tight": 15.0, "unknown": 8.0, "too large": 0.0}


def score_model(model: ModelSummary, fit: Fit, readiness: ChatReadiness, now_at: float) -> Score:
    """The score of ``model`` at ``now_at`` (Unix seconds), every part rounded to a tenth."""
    age_s = None if model.updated_at is None else max(0.0, now_at - model.updated_at)
    freshness = 0.0 if age_s is None else 0.5 ** (age_s / HALF_LIFE_S)
    parts = {
        "fit": _FIT_POINTS[fit],
        "readiness": 25.0 if readiness.ok else 0.0,
        "popularity": 17 * _log_share(model.downloads, FULL_DOWNLOADS)
        + 8 * _log_share(model.likes, FULL_LIKES),
        "momentum": 7 * _log_share(model.trending, FULL_TRENDING) + 8 * freshness,
        "provenance": 4.0 * bool(model.license)
        + 3.0 * bool(model.base_models)
        + 3.0 * (not model.guessed),
    }
    rounded = {name: round(points, 1) for name, points in parts.items()}
    return Score(round(sum(rounded.values()), 1), rounded)


def _log_share(count: float, full: float) -> float:
    """0 for none, 1 from ``full`` on, by the logarithm in between."""
    return min(1.0, math.log1p(max(0.0, count)) / math.log1p(full))
