from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tfx.types import Artifact, standard_artifacts

from components.artifacts import Benefit
from components.artifacts import GateReport as GateReportArtifact
from components.decision.report import Check, GateReport, Verdict
from components.inference.net_benefit import Estimate
from components.worth.benefit.executor import WorthExecutor
from components.worth.benefit.judging import judge, state
from components.worth.benefit.kpi import Change
from components.worth.benefit.statement import Statement
from pipelines.errors import DataError
from pipelines.settings import Settings
from pipelines.spec import Prices, Worth
from tests.components.worth.outcomes import outcome, write

WORTH = Worth(
    prices=Prices(cpu_core_hour_usd=10),
    requests_per_day=1000,
    value_per_request_usd=1,
    days_until_next_model=2,
    extra_serving_usd_per_day=1.5,
    kpi="revenue",
)


@pytest.mark.parametrize(
    ("lift", "verdict"),
    [
        (Estimate(0.03, 0.012, 0.048), Verdict.ACCEPTED),  # the lower bound earns 24, more than 20 + 3
        (Estimate(0.03, 0.0115, 0.0485), Verdict.INCONCLUSIVE),  # exactly 23
        (Estimate(0.03, 0.005, 0.055), Verdict.INCONCLUSIVE),
        (Estimate(0.0, -0.0115, 0.0115), Verdict.REFUSED),  # at best exactly 23: nothing is earned
        (Estimate(-0.03, -0.05, -0.01), Verdict.REFUSED),
    ],
)
def test_only_a_lower_bound_above_zero_promotes(lift: Estimate, verdict: Verdict) -> None:
    statement = state(WORTH, made_usd=20, champion="3", change=Change(lift))
    assert statement.cost_usd == pytest.approx(23)
    report = judge(statement)
    assert report.verdict is verdict
    assert report.checks[0].interval == pytest.approx((2000 * lift.low - 23, 2000 * lift.high - 23))
    assert bool(report.next_command) is (verdict is not Verdict.ACCEPTED)


def test_without_a_champion_nothing_has_to_be_earned() -> None:
    report = judge(state(WORTH, made_usd=20, champion="", change=Change(Estimate(-1, -1, -1))))
    assert report.verdict is Verdict.ACCEPTED
    assert report.reason == "not applicable, there is no champion to earn more than; the model cost 23 USD"


Run = dict[str, Any]


def artifact(kind: type[Artifact], folder: Path) -> Artifact:
    found = kind()
    folder.mkdir(parents=True, exist_ok=True)
    found.uri = str(folder)
    return found


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`run(worth, estimates={…}, check=…, absent=False)`: the executor in a run whose training took a CPU hour."""
    for name, value in {"PIPELINE": "toy", "RUN_ID": "run-1", "NODE": "worth", "STATE": str(tmp_path)}.items():
        monkeypatch.setenv(f"DAYBREAK_{name}", value)
    settings = Settings.from_environment()
    write(settings, outcome("train"), outcome("evaluate", stage="gates"), outcome("contract", stage="data"))

    def start(
        worth: Worth, *, estimates: Any = None, check: Check | None = None, absent: bool = False
    ) -> tuple[GateReport, Statement]:
        champion = artifact(standard_artifacts.Model, tmp_path / "champion")
        champion.set_string_custom_property("absent", "yes") if absent else None
        inputs = {"model": [artifact(standard_artifacts.Model, tmp_path / "model")], "champion_model": [champion]}
        if check:
            evaluation = artifact(standard_artifacts.ModelEvaluation, tmp_path / "business")
            (tmp_path / "business" / "readable").mkdir()
            (tmp_path / "business" / "readable" / "estimates.json").write_text(json.dumps(estimates))
            GateReport.of("business", [check]).write(tmp_path / "business-report")
            inputs["business_report"] = [artifact(GateReportArtifact, tmp_path / "business-report")]
            inputs["business_evaluation"] = [evaluation]
        outputs = {
            "benefit": [artifact(Benefit, tmp_path / "benefit")],
            "report": [artifact(GateReportArtifact, tmp_path / "report")],
        }
        WorthExecutor().Do(inputs, outputs, {"worth": worth.model_dump_json()})
        assert outputs["report"][0].verdict == GateReport.read(tmp_path / "report").verdict.value
        return GateReport.read(tmp_path / "report"), Statement.read(tmp_path / "benefit")

    return start


CHECK = Check(name="revenue change", verdict=Verdict.ACCEPTED, observed=0.5, interval=(0.1, 0.9), reason="as bound")
ESTIMATES = {
    "revenue": {
        "estimates": [
            {"estimator": "delta", "value": 9.0, "low": 8.0, "high": 10.0},
            {"estimator": "relative delta", "value": 0.03, "low": 0.02, "high": 0.04},
        ]
    }
}


def test_the_gate_reads_the_relative_change_and_counts_training_and_gates(run: Any) -> None:
    report, statement = run(WORTH, estimates=ESTIMATES, check=CHECK)
    assert statement.lift == (0.03, 0.02, 0.04)
    assert statement.cost_usd == pytest.approx(20 + 3)
    assert statement.net_usd == pytest.approx((37, 17, 57))
    assert report.verdict is Verdict.ACCEPTED


def test_without_a_kpi_the_cost_alone_is_stated(run: Any) -> None:
    report, statement = run(WORTH.model_copy(update={"kpi": None}), estimates=ESTIMATES, check=CHECK)
    assert (report.verdict, statement.net_usd) == (Verdict.ACCEPTED, None)
    assert "`worth.kpi` is not set" in report.reason and "23 USD" in report.reason


def test_without_the_business_gate_the_cost_alone_is_stated(run: Any) -> None:
    report, _ = run(WORTH)
    assert (report.verdict, "no KPI is estimated" in report.reason) == (Verdict.ACCEPTED, True)


def test_the_first_model_is_worth_it(run: Any) -> None:
    report, _ = run(WORTH, absent=True)
    assert "there is no champion" in report.reason


def test_a_kpi_that_could_not_be_evaluated_says_why(run: Any) -> None:
    check = Check(name="revenue change", verdict=Verdict.NOT_EVALUABLE, reason="the log explores too little")
    report, statement = run(WORTH, estimates=ESTIMATES, check=check)
    assert statement.lift is None
    assert "the log explores too little" in report.reason


def test_a_kpi_that_nobody_judges_is_an_error(run: Any) -> None:
    with pytest.raises(DataError, match="Received: clicks"):
        run(WORTH.model_copy(update={"kpi": "clicks"}), estimates=ESTIMATES, check=CHECK)


@pytest.mark.parametrize("estimates", [{}, {"revenue": {"estimates": []}}, {"revenue": 3}])
def test_estimates_of_another_shape_are_an_error(run: Any, estimates: Any) -> None:
    with pytest.raises(DataError, match="relative delta of revenue"):
        run(WORTH, estimates=estimates, check=CHECK)


def test_a_change_that_is_not_defined_is_not_compared(run: Any) -> None:
    undefined = {"revenue": {"estimates": [{"estimator": "relative delta", "value": None, "low": None, "high": None}]}}
    report, statement = run(WORTH, estimates=undefined, check=CHECK)
    assert (report.verdict, statement.lift) == (Verdict.ACCEPTED, None)
