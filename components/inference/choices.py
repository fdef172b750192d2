"""How scores become choices: the probability of each item of a list, given those above it.

    chances = list_probabilities(scores, temperature=2.0, epsilon=0.1)     # [lists, candidates]
    drawn = draw_list(scores[0], count=10, temperature=2.0, epsilon=0.1, draw=np.random.default_rng())

Candidates stand in the order in which they were shown, those not shown last. Item `k` is drawn from the items not above
it: with probability `1 - epsilon` by a softmax over `scores / temperature` (Plackett, 1975), else evenly. So nothing has
less than `epsilon / (number left)`: the exploration floor.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

# Not of `units`, which loads SciPy: a gateway draws with nothing but NumPy.
Floats = npt.NDArray[np.float64]

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


class Drawn(NamedTuple):
    order: npt.NDArray[np.int64]
    """Of all candidates: those drawn, from the top, then the rest."""
    chosen: Floats
    """Probability of each place's item, given those above it: the very number that the draw compared with."""
    floors: Floats
    normalisers: Floats
    """Sum of `exp(score / temperature)` over those left; infinite where a float64 cannot hold it."""


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


def draw_list(scores: Floats, *, count: int, temperature: float, epsilon: float, draw: np.random.Generator) -> Drawn:
    """`scores`: `[candidates]`, finite. Draws the first `count` places, or as many as there are candidates."""
    logits = np.asarray(scores, np.float64) / temperature
    order, count = np.arange(len(logits)), min(count, len(logits))
    chosen, floors, normalisers = np.empty((3, count))
    for place in range(count):
        highest = logits[place:].max()
        weights = np.exp(logits[place:] - highest)
        whole, floor = weights.sum(), epsilon / len(weights)
        chances = (1 - epsilon) * weights / whole + floor
        # Rounding may end the edges a little below one; the last candidate has what is above them.
        drawn = int(np.searchsorted(np.cumsum(chances[:-1]), draw.random(), side="right"))
        with np.errstate(over="ignore"):
            chosen[place], floors[place], normalisers[place] = chances[drawn], floor, np.exp(highest) * whole
        for array in (order, logits):
            array[place], array[place + drawn] = array[place + drawn], array[place]
    return Drawn(order, chosen, floors, normalisers)


def _mean_guess(share: Floats, guesses: Floats, *, left: Floats, epsilon: float) -> Floats:
    """`share`: of each item in the softmax over it and those behind it; so its mean is one step from theirs."""
    by_score, mean = np.zeros_like(guesses), np.zeros(len(guesses))
    for place in reversed(range(guesses.shape[1])):
        mean = mean + share[:, place] * (guesses[:, place] - mean)
        by_score[:, place] = mean
    return np.asarray((1 - epsilon) * by_score + epsilon * _sums_from_here(guesses) / left, np.float64)


def _sums_from_here(values: Floats) -> Floats:
    return np.asarray(np.cumsum(values[:, ::-1], axis=1)[:, ::-1], np.float64)
