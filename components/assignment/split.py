"""The split document: what a gateway needs to know of a rollout, and all it ever asks for.

    split = read_split(path)                   # SpecError when it is none
    write_split(path, split)                   # atomic; a reader finds the old one or the new one

It names versions, never aliases, so that nothing moves between two documents. Whoever writes one raises `version`; after
`ttl_secs` without a newer one the experiment is off and everybody meets the champion.
"""

from __future__ import annotations

import enum
import os
from pathlib import Path

import msgspec
from msgspec import Struct

from pipelines.errors import SpecError


class Arm(enum.StrEnum):
    CHAMPION = "champion"
    """Outside the experiment."""
    CONTROL = "control"
    """The champion, inside."""
    TREATMENT = "treatment"
    HOLDBACK = "holdback"
    """A model that stays what it was for a quarter."""


class Model(Struct, frozen=True, forbid_unknown_fields=True):  # type: ignore[call-arg]
    version: str
    uri: str
    """Folder of the SavedModel or of its LiteRT file, or the address of a server: `components.serving.engines`."""


class Experiment(Struct, frozen=True, forbid_unknown_fields=True):  # type: ignore[call-arg]
    rollout_id: str
    """Salt of the buckets too."""
    challenger: str
    """Version."""
    share: float
    """Of all units, for each of the two arms: 0 to 0.5."""
    shadow: bool = False
    """Requests are mirrored to the challenger; nobody sees its answers."""


class Holdback(Struct, frozen=True, forbid_unknown_fields=True):  # type: ignore[call-arg]
    salt: str
    """Of the quarter, such as `shop-2026Q1`."""
    share: float
    version: str


class PolicyTerms(Struct, frozen=True, forbid_unknown_fields=True):  # type: ignore[call-arg]
    """How scores become a list; as `pipelines.spec.Policy`."""

    id: str
    item: str
    """Column of a candidate that names it."""
    position: str
    temperature: float
    epsilon: float
    score: str = "probability"


class Split(Struct, frozen=True, forbid_unknown_fields=True):  # type: ignore[call-arg]
    model: str
    """The pipeline's name."""
    version: int
    written: float
    """Unix time, seconds."""
    ttl_secs: float
    unit: str
    """Column of the rows that names the unit, such as `user_id`."""
    champion: str
    """Version."""
    models: tuple[Model, ...]
    """All versions that are served."""
    experiment: Experiment | None = None
    holdback: Holdback | None = None
    policy: PolicyTerms | None = None
    """None: only predictions are served, no lists."""


def read_split(path: Path) -> Split:
    """Raises `SpecError` for a document that cannot be read, or whose versions are not all among its models."""
    try:
        split = msgspec.json.decode(path.read_bytes(), type=Split)
    except (OSError, msgspec.MsgspecError, UnicodeError) as error:
        raise SpecError(
            f"the split document cannot be read: {error}",
            fix="`daybreak rollout reconcile NAME` writes it again",
            place=str(path),
        ) from error
    _require_whole(split, path)
    return split


def write_split(path: Path, split: Split) -> None:
    _require_whole(split, path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(msgspec.json.format(msgspec.json.encode(split), indent=1) + b"\n")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _require_whole(split: Split, path: Path) -> None:
    named = {split.champion}
    shares = []
    if split.experiment:
        named.add(split.experiment.challenger)
        shares.append(split.experiment.share)
    if split.holdback:
        named.add(split.holdback.version)
        shares.append(split.holdback.share)
    if missing := sorted(named - {model.version for model in split.models}):
        raise SpecError(
            f"`models` must hold every version that is named. Received: no version {', '.join(missing)}",
            fix="`daybreak rollout reconcile NAME` writes the document again",
            place=str(path),
        )
    if any(not 0 <= share <= 0.5 for share in shares):
        raise SpecError(
            f"a share is 0 to 0.5. Received: {shares}", fix="correct `rollout.stages`, compile again", place=str(path)
        )
