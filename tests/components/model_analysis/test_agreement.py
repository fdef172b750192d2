"""What counts as a disagreement, and what TFMA's bins leave open."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pyarrow as pa
import pytest

from components.evaluation.metrics import OVERALL, read_table
from components.evaluation.sums import SliceSums
from components.model_analysis.agreement import disagreements
from tests.components.evaluation.test_sums import MODELS, batch, scored

SLICINGS: list[tuple[str, ...]] = [(), ("city",)]
METRICS = ["auc", "calibration"]
Change = Callable[[dict[str, dict[str, dict[str, float]]]], None]


def compare(found: pa.RecordBatch, change: Change, *, min_rows: int = 100) -> list[str]:
    """With TFMA saying what we say, and then something else."""
    sums = SliceSums(MODELS, SLICINGS).partial(found)
    table = read_table(sums, slicings=SLICINGS, models=MODELS, metrics=METRICS)
    theirs = {model: {name: dict(getattr(found, model)) for name, found in table.items()} for model in MODELS}
    change(theirs)
    given: Mapping[str, Mapping[str, Mapping[str, float]]] = theirs
    return disagreements(sums, given, slicings=SLICINGS, models=MODELS, metrics=METRICS, min_rows=min_rows)


def setting(model: str, name: str, metric: str, factor: float) -> Change:
    def change(theirs: dict[str, dict[str, dict[str, float]]]) -> None:
        theirs[model][name][metric] *= factor

    return change


def test_equal_numbers_agree() -> None:
    assert compare(scored(), lambda theirs: None) == []


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", [OVERALL, "city=Rome"])
@pytest.mark.parametrize("metric", METRICS)
def test_any_number_that_differs_is_named(model: str, name: str, metric: str) -> None:
    [found] = compare(scored(), setting(model, name, metric, 1.005))
    assert found.startswith(f"{model} {metric} of {name} is ")
    assert compare(scored(), setting(model, name, metric, 1.0005)) == []
    assert compare(scored(), setting(model, name, metric, float("nan")))


def test_saying_nothing_is_no_agreement() -> None:
    [found] = compare(scored(), lambda theirs: theirs["champion"].clear())
    assert found == "TensorFlow Model Analysis has no numbers of champion"


def test_small_slices_are_left_out() -> None:
    assert compare(scored(), setting("candidate", "city=Rome", "auc", 1.1), min_rows=4_000) == []
    assert compare(scored(), setting("candidate", OVERALL, "auc", 1.1), min_rows=5_000)


def test_what_their_bins_cannot_tell_apart_is_no_disagreement() -> None:
    """Predictions of a rare event all lie within one ten-thousandth: TFMA says 0.5, whatever the order."""
    labels = np.arange(1_000) % 10 == 0
    predictions = np.where(labels, 6e-5, 3e-5)
    rare = batch(labels=labels, candidate=predictions, champion=predictions, city=[[b"Rome"]] * 1_000)
    assert compare(rare, setting("candidate", OVERALL, "auc", 0.5)) == []
    wide = batch(labels=labels, candidate=1e4 * predictions, champion=predictions, city=[[b"Rome"]] * 1_000)
    assert len(compare(wide, setting("candidate", OVERALL, "auc", 0.5))) == 1
