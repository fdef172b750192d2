"""Who is in which arm: a hash of the unit, so that everybody stays where they are and nobody has to remember it.

    bucket("shop-17", "u42")                   # 0 to 9,999, always the same
    assign(split, "u42")                       # Assignment(arm=Arm.TREATMENT, version="7")

Treatment takes buckets from below, control as many from above; a larger share adds units to both and moves none between
them. SHA-256, because two salts must give independent buckets: FNV and CRC32 do not.
"""

from __future__ import annotations

from hashlib import sha256
from typing import NamedTuple

from components.assignment.split import Arm, Split

BUCKETS = 10_000


class Assignment(NamedTuple):
    arm: Arm
    version: str


def bucket(salt: str, unit: str) -> int:
    digest = sha256(f"{salt}:{unit}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:4], "big") % BUCKETS


def assign(split: Split, unit: str) -> Assignment:
    """The arm of a unit and the version that is meant for it. In shadow nobody is in the experiment's arms."""
    if (holdback := split.holdback) and bucket(holdback.salt, unit) < _width(holdback.share):
        return Assignment(Arm.HOLDBACK, holdback.version)
    experiment = split.experiment
    if experiment is None or experiment.shadow:
        return Assignment(Arm.CHAMPION, split.champion)
    # Whole buckets: of 0.07 * 10,000 and (1 - 0.07) * 10,000 as floats, one arm would get a bucket more.
    found, width = bucket(experiment.rollout_id, unit), _width(experiment.share)
    if found < width:
        return Assignment(Arm.TREATMENT, experiment.challenger)
    return Assignment(Arm.CONTROL if found >= BUCKETS - width else Arm.CHAMPION, split.champion)


def _width(share: float) -> int:
    return round(share * BUCKETS)
