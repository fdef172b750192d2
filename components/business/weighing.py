"""From scores of both models to the sums that every estimator is a function of.

sums = {kpi.name: list_sums(lists, kpi, policy, new=scores, champion=others) for kpi in kpis}
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import tensorflow as tf

from components.business.log import Lists
from components.inference.choices import Chances, list_probabilities, log_odds
from components.inference.off_policy import Logged, row_values
from components.inference.units import Floats, UnitSums, sum_by_unit
from pipelines.spec import Kpi, Policy

_HASH_BUCKETS = 2**63 - 1


def list_sums(lists: Lists, kpi: Kpi, policy: Policy, *, unit: str, new: Floats, champion: Floats) -> UnitSums:
    """`new`, `champion`: `[lists, candidates]`, what the models predict.

    The reward model of the direct method is the champion's prediction, of whatever the KPI counts: scaled where it is used.
    """
    rows, places = lists.rows, lists.places
    guesses = np.where(np.isfinite(champion), champion, 0)
    ours, theirs = (chances(scores, policy, guesses) for scores in (new, champion))
    floors = _floats(rows, policy.floor)
    logged = Logged(
        reward=_floats(rows, kpi.numerator),
        base=_floats(rows, kpi.denominator) if kpi.denominator else None,
        propensity=_floats(rows, policy.propensity),
        probability=ours.chosen[places],
        reference=theirs.chosen[places],
        guess=guesses[places],
        mean_guess=ours.mean_guess[places],
        unsupported=_unsupported(ours.chosen[places], floors),
        unsupported_reference=_unsupported(theirs.chosen[places], floors),
    )
    return sum_by_unit(unit_hashes(rows.column(unit)), row_values(logged))


def chances(scores: Floats, policy: Policy, guesses: Floats | None = None) -> Chances:
    there = np.isfinite(scores)
    if policy.score == "probability":
        scores = np.where(there, log_odds(np.where(there, scores, 0.5)), -np.inf)
    return list_probabilities(scores, temperature=policy.temperature, epsilon=policy.epsilon, guesses=guesses)


def unit_hashes(column: pa.ChunkedArray) -> npt.NDArray[np.uint64]:
    """FarmHash Fingerprint64, as of the splits: it never changes."""
    texts = column.cast(pa.large_string()).fill_null("").to_numpy()
    return np.asarray(tf.strings.to_hash_bucket_fast(texts.astype(object), _HASH_BUCKETS), np.uint64)


def _unsupported(probability: Floats, floors: Floats) -> Floats:
    """Where the log could not have shown everything, only what it did show is known to have been possible."""
    return np.asarray(np.where(floors > 0, 0.0, 1 - probability), np.float64)


def _floats(rows: pa.Table, column: str) -> Floats:
    return np.asarray(rows.column(column).cast(pa.float64()).fill_null(0.0).to_numpy(), np.float64)
