"""Probabilities of lists, against sums over what is left."""

from __future__ import annotations

import numpy as np
import pytest

from components.inference.choices import draw_list, list_probabilities, log_odds


def by_hand(scores: np.ndarray, guesses: np.ndarray, temperature: float, epsilon: float) -> list[tuple[float, float]]:
    found = []
    for place in range(len(scores)):
        left = np.exp(scores[place:] / temperature)
        chances = (1 - epsilon) * left / left.sum() + epsilon / len(left)
        found.append((chances[0], float(chances @ guesses[place:])))
    return found


def test_each_place_is_drawn_from_those_left() -> None:
    random = np.random.default_rng(1)
    scores, guesses = random.normal(size=(5, 7)), random.uniform(size=(5, 7))
    found = list_probabilities(scores, temperature=0.6, epsilon=0.15, guesses=guesses)
    for one in range(5):
        expected = by_hand(scores[one], guesses[one], 0.6, 0.15)
        np.testing.assert_allclose(found.chosen[one], [chance for chance, _ in expected], rtol=1e-12)
        np.testing.assert_allclose(found.mean_guess[one], [guess for _, guess in expected], rtol=1e-12)
    np.testing.assert_allclose(found.floors[0], 0.15 / np.arange(7, 0, -1))
    assert (found.chosen >= found.floors).all()


def test_a_shorter_list_is_as_if_it_stood_alone() -> None:
    scores = np.array([[1.0, 0.5, -1.0, 2.0], [0.3, 0.1, -np.inf, -np.inf]])
    guesses = np.array([[0.1, 0.2, 0.3, 0.4], [0.5, 0.6, 9.0, 9.0]])
    both = list_probabilities(scores, temperature=1.0, epsilon=0.2, guesses=guesses)
    alone = list_probabilities(scores[1:, :2], temperature=1.0, epsilon=0.2, guesses=guesses[1:, :2])
    for found, expected in zip(both, alone, strict=True):
        np.testing.assert_allclose(found[1, :2], expected[0], rtol=1e-12)
        assert (found[1, 2:] == 0).all()


def test_scores_far_apart_neither_overflow_nor_vanish() -> None:
    found = list_probabilities(np.array([[5000.0, 0.0, -5000.0]]), temperature=0.5, epsilon=0.0)
    np.testing.assert_array_equal(found.chosen, [[1.0, 1.0, 1.0]])
    found = list_probabilities(np.array([[-5000.0, 0.0, 5000.0]]), temperature=0.5, epsilon=0.3)
    assert found.chosen[0] == pytest.approx([0.1, 0.15, 1.0])


def test_log_odds_are_finite() -> None:
    found = log_odds(np.array([0.0, 0.25, 1.0]))
    assert np.isfinite(found).all()
    assert found[1] == pytest.approx(np.log(1 / 3))


def test_what_is_drawn_has_the_probabilities_that_the_gate_computes() -> None:
    random = np.random.default_rng(5)
    scores = random.normal(size=12)
    for _ in range(20):
        drawn = draw_list(scores, count=7, temperature=0.6, epsilon=0.15, draw=random)
        assert sorted(drawn.order) == list(range(12))
        computed = list_probabilities(scores[drawn.order][None], temperature=0.6, epsilon=0.15)
        np.testing.assert_allclose(drawn.chosen, computed.chosen[0, :7], rtol=1e-12)
        np.testing.assert_allclose(drawn.floors, computed.floors[0, :7], rtol=1e-12)
        left = [np.exp(scores[drawn.order[place:]] / 0.6).sum() for place in range(7)]
        np.testing.assert_allclose(drawn.normalisers, left, rtol=1e-12)


@pytest.mark.parametrize("epsilon", [0.0, 0.3, 1.0])
def test_weights_of_another_policy_have_a_mean_of_one(epsilon: float) -> None:
    """E[w] = 1 for three policies: what was logged is what was drawn by."""
    random = np.random.default_rng(9)
    scores, count = random.normal(size=5), 20_000
    drawn = [draw_list(scores, count=2, temperature=1.0, epsilon=0.2, draw=random) for _ in range(count)]
    other = list_probabilities(
        np.array([-scores[found.order] for found in drawn]), temperature=0.8, epsilon=epsilon
    ).chosen[:, :2]
    weights = np.prod(other / np.array([found.chosen for found in drawn]), axis=1)
    assert abs(weights.mean() - 1) < 4 * weights.std() / np.sqrt(count)


def test_a_list_may_be_asked_longer_than_there_are_candidates_and_scores_may_be_far_apart() -> None:
    drawn = draw_list(np.array([1e6, 0.0]), count=9, temperature=0.01, epsilon=0.0, draw=np.random.default_rng(1))
    assert drawn.order.tolist() == [0, 1]
    assert drawn.chosen.tolist() == [1.0, 1.0]
    assert drawn.normalisers.tolist() == [np.inf, 1.0]
