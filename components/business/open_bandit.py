"""The Open Bandit Dataset: a week of a fashion shop's recommendations, by two policies, with exact propensities.

    log = read_log(folder, policy="random", campaign="all")
    chances = read_action_distribution(folder, campaign="all")          # [items, positions] of Bernoulli Thompson sampling
    found = sum_by_unit(log.units, row_values(log.logged(chances[log.items, log.positions])))
    estimate(found, ips).value                                           # 0.00455288 on the sample of 10,000 rows

Saito et al. (2021, arXiv 2008.07146). Files lie as in its archive (`random/all/all.csv`), or side by side
(`random_all.csv.gz`). It has no user ids: every row is a unit of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import csv

from components.inference.off_policy import Logged
from components.inference.units import Floats
from pipelines.errors import DataError

Ints = npt.NDArray[np.int64]
PolicyName = Literal["random", "bts"]
Campaign = Literal["all", "men", "women"]
_COLUMNS = {
    "timestamp": pa.string(),
    "item_id": pa.int64(),
    "position": pa.int64(),
    "click": pa.float64(),
    "propensity_score": pa.float64(),
} | {f"user_feature_{number}": pa.string() for number in range(4)}


@dataclass(frozen=True)
class OpenBanditLog:
    """By time; arrays `[rows]`."""

    items: Ints
    positions: Ints
    """From 0."""
    clicks: Floats
    propensities: Floats
    user_features: npt.NDArray[np.object_]
    """`[rows, 4]`: hashed."""

    @property
    def units(self) -> npt.NDArray[np.uint64]:
        return np.arange(len(self.items), dtype=np.uint64)

    def logged(self, probabilities: Floats, *, guess: Floats | None = None, mean_guess: Floats | None = None) -> Logged:
        """`probabilities` under another policy, `[rows]`; it is compared with the one that wrote the log."""
        return Logged(
            reward=self.clicks,
            propensity=self.propensities,
            probability=probabilities,
            reference=self.propensities,
            guess=guess,
            mean_guess=mean_guess,
        )


def read_log(folder: Path, *, policy: PolicyName, campaign: Campaign) -> OpenBanditLog:
    """Raises `DataError` when there is no such file, or its columns are others."""
    path = _find(folder, policy, campaign)
    options = csv.ConvertOptions(column_types=_COLUMNS, include_columns=list(_COLUMNS))
    try:
        table = csv.read_csv(path, convert_options=options)
    except (pa.ArrowInvalid, KeyError) as error:
        raise DataError(
            f"not a log of the Open Bandit Dataset: {' '.join(str(error).split())[:200]}",
            fix="download the data set again",
            place=str(path),
        ) from error
    table = table.take(pa.array(np.argsort(table["timestamp"].to_numpy().astype(str), kind="stable")))
    positions = table["position"].to_numpy()
    return OpenBanditLog(
        items=table["item_id"].to_numpy(),
        positions=np.searchsorted(np.unique(positions), positions).astype(np.int64),
        clicks=table["click"].to_numpy(),
        propensities=table["propensity_score"].to_numpy(),
        user_features=np.stack([table[f"user_feature_{number}"].to_numpy() for number in range(4)], axis=1),
    )


def read_action_distribution(folder: Path, *, campaign: Campaign) -> Floats:
    """`[items, positions]`: probabilities of Bernoulli Thompson sampling, from 100,000 draws of its published priors."""
    path = folder / f"bts_action_distribution_{campaign}.npz"
    if not path.exists():
        raise DataError("there is no action distribution", fix="draw it from the published priors", place=str(path))
    with np.load(path) as found:
        return np.asarray(found["action_dist"], np.float64)


def _find(folder: Path, policy: str, campaign: str) -> Path:
    places = [folder / f"{policy}_{campaign}.csv.gz", folder / policy / campaign / f"{campaign}.csv"]
    for path in places:
        if path.exists():
            return path
    raise DataError(
        f"there is no log of policy {policy!r}, campaign {campaign!r}: neither {places[0].name} nor "
        f"{places[1].relative_to(folder)}",
        fix="download the Open Bandit Dataset, and give the folder of its archive",
        place=str(folder),
    )
