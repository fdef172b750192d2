from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from components.decision.report import GateReport, Verdict
from components.learning.checks import Findings, judge
from components.training.history import Epoch, History
from pipelines.errors import SpecError
from pipelines.spec import Learning, parse_spec


def history(*losses: float, exported: str = "best") -> History:
    epochs = tuple(
        Epoch(epoch=number, step=number, metrics={"loss": 0.5, "val_loss": loss}, seconds=1, examples_per_sec=1)
        for number, loss in enumerate(losses)
    )
    return History(
        strategy="single",
        replicas=1,
        batch_size=1,
        steps_per_epoch=1,
        train_rows=1,
        eval_rows=1,
        parameter_count=1,
        epochs=epochs,
        exported=exported,
    )


GOOD = Findings(
    history=history(0.4, 0.3),
    train={"auc": 0.75, "binary_crossentropy": 0.28},
    evaluated={"auc": 0.7, "binary_crossentropy": 0.3},
    loss="the log loss",
    gain=0.02,
    gain_interval=(0.01, 0.03),
    strengths={"price": 0.6},
    skew={"price": 0.0},
)
STRICT = Learning(max_gap={"auc": 0.1, "binary_crossentropy": 0.05})


def judged(**changes: Any) -> GateReport:
    return judge(STRICT, replace(GOOD, **changes))


def test_a_model_that_learned_passes_every_check() -> None:
    report = judged()
    assert report.verdict is Verdict.ACCEPTED
    assert [check.name for check in report.checks] == [
        "learning curve",
        "learned",
        "auc gap",
        "binary_crossentropy gap",
        "strongest feature alone",
        "transform skew",
    ]


@pytest.mark.parametrize(
    ("changes", "check", "reason"),
    [
        ({"history": history(0.4, float("nan"))}, "learning curve", "not a number in epoch 1"),
        ({"history": history(0.3, 0.46, exported="last")}, "learning curve", "is 0.4600, the smallest was 0.3000"),
        ({"gain": -0.01, "gain_interval": (-0.02, 0.0)}, "learned", "0.0100 above that of a constant"),
        ({"gain": 0.01, "gain_interval": (-0.01, 0.03)}, "learned", "may be chance"),
        ({"train": {"auc": 0.9, "binary_crossentropy": 0.3}}, "auc gap", "overfitted, the gap is above 0.1"),
        ({"train": {"auc": 0.7, "binary_crossentropy": 0.2}}, "binary_crossentropy gap", "overfitted"),
        ({"strengths": {"price": 0.6, "refunded": 0.995}}, "strongest feature alone", "`refunded` alone reaches 0.995"),
        ({"copies": ("clicked_too",)}, "strongest feature alone", "the label is in the features: clicked_too"),
        ({"skew": {"price": 0.1, "hour": 0.0}}, "transform skew", "differ from those it learned from: price"),
        ({"skew": {"price": float("inf")}}, "transform skew", "differ"),
        ({"skew": {"price": float("nan")}}, "transform skew", "differ"),
    ],
)
def test_each_fault_is_refused_by_its_check(changes: dict[str, Any], check: str, reason: str) -> None:
    report = judged(**changes)
    assert report.verdict is Verdict.REFUSED
    assert [found.name for found in report.checks if found.verdict is Verdict.REFUSED] == [check]
    assert reason in report.reason
    assert "MLflow" in report.next_command


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"history": history()}, "learning curve"),
        ({"evaluated": {}}, "auc gap"),
        ({"strengths": {"price": float("nan")}}, "strongest feature alone"),
        ({"skew": None, "no_skew": "it is a sample"}, "transform skew"),
    ],
)
def test_what_cannot_be_told_is_said(changes: dict[str, Any], check: str) -> None:
    report = judged(**changes)
    assert report.verdict is Verdict.NOT_EVALUABLE
    assert check in [found.name for found in report.checks if found.verdict is Verdict.NOT_EVALUABLE]


def test_the_best_epoch_counts_when_its_weights_are_exported() -> None:
    assert judged(history=history(0.3, 9.0, exported="best")).verdict is Verdict.ACCEPTED


def test_a_gap_of_a_metric_without_a_better_side_is_refused_by_the_spec() -> None:
    text = "name: x\nlearning: {max_gap: {mean_label: 0.1}}"
    with pytest.raises(SpecError, match=r"`learning`: `max_gap` compares metrics with a better side"):
        parse_spec(text)
