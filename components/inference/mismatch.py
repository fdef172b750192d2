"""Whether two arms hold as many units as they should: the sample ratio mismatch.

    log_evidence(control, treatment) >= math.log(1000)       # assignment or logging is broken

A Bayes factor of Dirichlet-multinomial against the declared split; under the declared split its expectation is 1 at any
time, so it may be looked at after every unit (Lindon and Malek, arXiv 2011.03567). What it finds is a defect, not harm.
"""

from __future__ import annotations

import math

from scipy import special

CONCENTRATION = 10_000.0
"""Of the prior around the declared split: most sensitive to shares that are off by half a percent."""
THRESHOLD = 1000.0
"""False alarms over the whole life of a rollout: one in a thousand."""


def log_evidence(control: int, treatment: int, *, concentration: float = CONCENTRATION) -> float:
    """Natural logarithm of the e-value against equal arms."""
    half = concentration / 2
    found = special.betaln(half + control, half + treatment) - special.betaln(half, half)
    return float(found + (control + treatment) * math.log(2))


def mismatched(control: int, treatment: int) -> bool:
    return log_evidence(control, treatment) >= math.log(THRESHOLD)
