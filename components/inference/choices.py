"""How scores become choices: the probability of each item of a list, given those above it.

    chances = list_probabilities(scores, temperature=2.0, epsilon=0.1)     # [lists, candidates]

Candidates stand in the order in which they were shown, those not shown last. Item `k` is drawn from the items not above
it: with probability `1 - epsilon` by a softmax over `scores / temperature` (Plackett, 1975), else evenly. So nothing has
less than `epsilon / (number left)`: the exploration floor.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from components.inference.units import Floats

SMALLEST = 1e-7
"""Click probabilities are taken for at least that, and at most one minus it."""


class Chances(NamedTuple):
    """`[lists, candidates]` each, by position."""

    chosen: Floats
    """Probability of the item that stands there."""
    floors: Floats
    """What any item that is left has at least."""
    mean_guess: Floats
    """Expected guess of what would be chosen there; zero without guesses."""


def log_odds(probabilities: Floats) -> Floats:
    clipped = np.clip(probabilities, SMALLEST, 1 - SMALLEST)
    return np.asarray(np.log(clipped) - np.log1p(-clipped), np.float64)


def list_probabilities(scores: Floats, *, temperature: float, epsilon: float, guesses: Floats | None = None) -> Chances:
    """`scores`, `guesses`: `[lists, candidates]`; shorter lists end in scores of minus infinity."""
    logits = np.asarray(scores, np.float64) / temperature
    there = np.isfinite(logits)
    left = np.maximum(_sums_from_here(there.astype(np.float64)), 1)
    log_normaliser = np.logaddexp.accumulate(logits[:, ::-1], axis=1)[:, ::-1]
    # Not by itself: of candidates that are not there both are minus infinity.
    share = np.exp(np.where(there, logits, 0) - np.where(there, log_normaliser, np.inf))
    chosen = np.where(there, (1 - epsilon) * share + epsilon / left, 0)
    mean_guess = np.zeros_like(chosen)
    if guesses is not None:
        mean_guess = _mean_guess(share, np.where(there, guesses, 0), left=left, epsilon=epsilon)
    return Chances(chosen, np.where(there, epsilon / left, 0), mean_guess)


def _mean_guess(share: Floats, guesses: Floats, *, left: Floats, epsilon: float) -> Floats:
    """`share`: of each item in the softmax over it and those behind it; so its mean is one step from theirs."""
    by_score, mean = np.zeros_like(guesses), np.zeros(len(guesses))
    for place in reversed(range(guesses.shape[1])):
        mean = mean + share[:, place] * (guesses[:, place] - mean)
        by_score[:, place] = mean
    return np.asarray((1 - epsilon) * by_score + epsilon * _sums_from_here(guesses) / left, np.float64)


def _sums_from_here(values: Floats) -> Floats:
    return np.asarray(np.cumsum(values[:, ::-1], axis=1)[:, ::-1], np.float64)
