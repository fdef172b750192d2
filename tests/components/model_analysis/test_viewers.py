"""TensorFlow Model Analysis and our sums measure the same predictions: the same numbers, within its thresholds."""

from __future__ import annotations

from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from components.evaluation.metrics import read_table, thresholds_of
from components.evaluation.sums import SliceSums
from components.model_analysis.viewers import CLASSES, Viewers, as_lists, read_metrics, sample
from pipelines.spec import Evaluate
from tests.components.evaluation.test_sums import MODELS, scored

EVALUATE = Evaluate(metrics=(*CLASSES, "precision@0.25", "recall@0.25"), slices=(("city",), ("city", "tag")))


def test_both_measure_the_same(tmp_path: Path) -> None:
    batches = [scored(6_000), scored(2_000, seed=4)]
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        _ = pipeline | beam.Create(batches) | Viewers(EVALUATE, with_champion=True, folder=tmp_path)
    slicings: list[tuple[str, ...]] = [(), *EVALUATE.slices]
    kernel = SliceSums(MODELS, slicings, thresholds=thresholds_of(EVALUATE.metrics))
    sums = kernel.merge([kernel.partial(batch) for batch in batches])
    ours = read_table(sums, slicings=slicings, models=MODELS, metrics=EVALUATE.metrics)
    for model in MODELS:
        theirs = read_metrics(tmp_path, model)
        assert set(theirs) == set(ours)
        for name, found in theirs.items():
            assert found.pop("example_count") == ours[name].rows
            auc = found.pop("auc")
            metrics = dict(getattr(ours[name], model))
            assert metrics.pop("auc") == pytest.approx(auc, abs=1e-4)
            assert metrics == pytest.approx({metric: found[metric] for metric in metrics}, rel=1e-5)
            assert len(metrics) == len(EVALUATE.metrics) - 1


def test_the_sample_is_drawn_evenly_and_always_the_same() -> None:
    batch = scored(10_000)
    first, second = (sample(7, batch, share=0.1) for _ in range(2))
    assert first.equals(second)
    assert 900 < first.num_rows < 1_100
    assert not first.equals(sample(8, batch, share=0.1))
    assert sample(7, batch.slice(0, 0), share=1.0).num_rows == 0
    all_rows = as_lists(sample(7, batch, share=1.0))
    assert all_rows.num_rows == 10_000
    assert all_rows.column("city").to_pylist() == batch.column("city").to_pylist()
