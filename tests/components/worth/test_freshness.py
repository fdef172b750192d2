"""Real models in a real registry replay a real day."""

from __future__ import annotations

import dataclasses
import datetime
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
from tfx.types import Artifact, standard_artifacts

from components.artifacts import Benefit, CostEntry, Registration
from components.artifacts import GateReport as GateReportArtifact
from components.decision.record import DecisionRecord, RegisteredModel
from components.decision.report import Check, GateReport, Verdict
from components.examples.records import RowGroup, to_lists, write_shard
from components.inference.net_benefit import Estimate
from components.ledger.entries import Draft, Event
from components.ledger.ledger import Ledger
from components.registry.versions import DAY, Registry
from components.worth.benefit.statement import Statement
from components.worth.costs.executor import CostsExecutor, make_entry
from components.worth.freshness.executor import FreshnessExecutor
from components.worth.freshness.history import aged_versions
from components.worth.freshness.stamp import freshness_stamp
from components.worth.ledger import ENTRY_FILE, Entry, all_versions, read_costs, record_costs
from components.worth.listing import read_lines, render, sum_of_runs
from components.worth.replay import choose_groups, fetch_model
from components.worth.spending import NodeCost, node_costs
from pipelines.errors import TransientError
from pipelines.manifest import Manifest
from pipelines.settings import Settings
from pipelines.spec import Drift, Freshness, Prices, Worth
from tests.components.evaluation.conftest import COLUMNS, Day, day  # noqa: F401
from tests.components.registry.conftest import ledger, registry  # noqa: F401
from tests.components.tracking.mlflow_server import MlflowServer
from tests.components.worth.outcomes import outcome, write

pytestmark = pytest.mark.usefixtures("ledger")

TODAY = datetime.date(2026, 1, 9)
PRICES = Prices(cpu_core_hour_usd=1)
WORTH = Worth(
    prices=PRICES,
    requests_per_day=1000,
    value_per_request_usd=1,
    freshness=Freshness(lift_per_unit=0.1, models=5),
)


def add_version(
    registry: Registry,  # noqa: F811
    model: Path,
    *,
    age: int,
    promoted: bool = True,
    cost_usd: float = 0.0,
) -> str:
    """A package as `register` logs it, of `age` days before `TODAY`."""
    client = registry.client
    experiment = client.get_experiment_by_name(registry.name)
    experiment_id = experiment.experiment_id if experiment else client.create_experiment(registry.name)
    if not client.search_registered_models(f"name = '{registry.name}'"):
        client.create_registered_model(registry.name)
    logged = client.create_logged_model(experiment_id, name=f"age-{age}")
    client.log_model_artifacts(logged.model_id, str(model))
    logged = client.finalize_logged_model(logged.model_id, "READY")
    learned_from = TODAY - datetime.timedelta(age)
    tags = {DAY: str(learned_from)}
    version: str = client.create_model_version(
        registry.name, source=f"models:/{logged.model_id}", model_id=logged.model_id, tags=tags
    ).version
    events = (Event.REGISTERED, Event.PROMOTED) if promoted else (Event.REGISTERED,)
    written = Ledger.open(Settings.from_environment(), registry.name)
    drafts = [Draft(event=event, version=version, day=learned_from, actor="test", reason="a test") for event in events]
    written.append(*drafts, after=written.entries())
    if cost_usd:
        record_costs(registry, version, entry(cost_usd))
    return version


def entry(cost_usd: float) -> Entry:
    cost = NodeCost(
        node="train", stage="training", cached=False, seconds=1, cpu_secs=1, usd=cost_usd, today_usd=cost_usd
    )
    return make_entry([cost], day="2026-01-08", run_id="run")


@pytest.fixture
def package(day: Day, tmp_path: Path) -> Callable[[str], Path]:  # noqa: F811
    """`package("good")`: a folder with `saved_model`; `package("other")` knows a column that today's rows lack."""

    def make(name: str) -> Path:
        folder = tmp_path / "packages" / name
        if name == "other":
            tf.saved_model.save(tf.Module(), str(folder / "saved_model"))
        elif not folder.exists():
            shutil.copytree(day.models[name] / "Format-Serving", folder / "saved_model")
        return folder

    return make


Decide = Callable[..., tuple[GateReport, dict[str, Any]]]


@pytest.fixture
def freshness(day: Day, registry: Registry, tmp_path: Path) -> Decide:  # noqa: F811
    """`freshness(worth, drift=0.1)`: the executor as a node runs it."""

    def run(worth: Worth = WORTH, *, drift: float = 0.1) -> tuple[GateReport, dict[str, Any]]:
        rows = {**day.rows, "hour": [number % 200 for number in range(3000)]}
        batch = pa.RecordBatch.from_pydict(rows)
        write_shard(to_lists(batch, COLUMNS), tmp_path / "examples" / "Split-eval", index=0, count=1)
        check = Check(name="drift: fare", verdict=Verdict.ACCEPTED, observed=drift)
        GateReport.of("anomalies", [check]).write(tmp_path / "anomalies")
        inputs = {
            "examples": [_artifact(standard_artifacts.Examples, tmp_path / "examples")],
            "schema": [_artifact(standard_artifacts.Schema, day.schema_folder)],
            "transform_graph": [_artifact(standard_artifacts.TransformGraph, day.transform)],
            "anomalies_report": [_artifact(GateReportArtifact, tmp_path / "anomalies")],
        }
        outputs = {
            "curve": [_artifact(standard_artifacts.ModelEvaluation, tmp_path / "curve")],
            "report": [_artifact(GateReportArtifact, tmp_path / "report")],
        }
        parameters = {
            "pipeline": registry.name,
            "day": str(TODAY),
            "worth": worth.model_dump_json(),
            "drift": Drift(jensen_shannon={"fare": 0.5}).model_dump_json(),
            "label": "tips",
            "unit": "hour",
        }
        FreshnessExecutor().Do(inputs, outputs, parameters)
        report = GateReport.read(tmp_path / "report")
        assert outputs["report"][0].verdict == report.verdict.value
        return report, json.loads((tmp_path / "curve" / "readable" / "freshness.json").read_text())

    return run


def _artifact(kind: type[Artifact], folder: Path) -> Artifact:
    artifact = kind()
    artifact.uri = str(folder)
    return artifact


def test_a_day_whose_models_age_is_trained_and_an_incompatible_one_is_left_out(
    registry: Registry,  # noqa: F811
    package: Callable[[str], Path],
    freshness: Decide,
    tmp_path: Path,
) -> None:
    add_version(registry, package("good"), age=1, cost_usd=7)
    other = add_version(registry, package("other"), age=2)
    add_version(registry, package("poor"), age=3, cost_usd=9)
    report, found = freshness()
    assert report.verdict is Verdict.ACCEPTED
    assert (found["action"], found["code"], found["cost_usd"]) == ("TRAIN", "worth_it", 8)
    young, old = found["models"]
    assert (young["age_days"], old["age_days"]) == (1, 3)
    assert 0 < young["binary_crossentropy"] < old["binary_crossentropy"]
    assert found["loss_per_day"]["value"] == pytest.approx(old["loss_against_youngest"] / 2)
    # One day older, 10 % per unit of loss, of 1000 USD.
    assert found["gain_usd"]["value"] == pytest.approx(100 * found["loss_per_day"]["value"])
    assert list(found["left_out"]) == [other]
    assert (tmp_path / "curve" / "readable" / "freshness.png").stat().st_size > 1000


def test_a_day_whose_models_do_not_age_is_skipped(
    registry: Registry,  # noqa: F811
    package: Callable[[str], Path],
    freshness: Decide,
) -> None:
    champion = add_version(registry, package("good"), age=1, cost_usd=7)
    add_version(registry, package("good"), age=2, cost_usd=7)
    report, found = freshness()
    assert (report.verdict, found["code"]) == (Verdict.REFUSED, "skip_cost")
    assert f"champion version {champion} stays" in report.reason
    assert "--force" in report.next_command
    assert freshness(drift=0.45)[1]["code"] == "drift"
    capped = WORTH.model_copy(update={"freshness": Freshness(lift_per_unit=0.1, max_age_days=1)})
    assert freshness(capped)[1]["code"] == "staleness_cap"
    assert freshness()[1]["models"][0]["version"] == champion


def test_the_first_day_is_trained(freshness: Decide) -> None:
    report, found = freshness()
    assert (report.verdict, found["code"], found["models"]) == (Verdict.ACCEPTED, "no_history", [])


def test_models_that_are_gone_are_left_out(
    registry: Registry,  # noqa: F811
    package: Callable[[str], Path],
    freshness: Decide,
    mlflow_server: MlflowServer,
) -> None:
    for age in (1, 2):
        add_version(registry, package("good"), age=age)
    deleted, emptied = sorted(all_versions(registry), key=lambda version: version.version)
    registry.client.delete_logged_model(deleted.source.removeprefix("models:/"))
    [stored] = (mlflow_server.folder / "artifacts").rglob(emptied.source.removeprefix("models:/"))
    shutil.rmtree(stored)
    assert sorted(freshness()[1]["left_out"]) == ["1", "2"]


def test_a_server_that_does_not_give_a_model_is_worth_a_retry(
    registry: Registry,  # noqa: F811
    package: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    add_version(registry, package("good"), age=1)
    [version] = all_versions(registry)
    with pytest.raises(TransientError, match="cannot fetch version 1"):
        fetch_model(dataclasses.replace(registry, uri="http://127.0.0.1:9"), version, tmp_path / "there")


def test_the_stamp_names_champion_models_and_costs(
    registry: Registry,  # noqa: F811
    package: Callable[[str], Path],
) -> None:
    spec = {"worth": WORTH.model_dump(mode="json")}
    manifest = Manifest(pipeline=registry.name, ir="", ir_digest="", nodes=(), spec=spec)
    assert freshness_stamp(manifest, {"day": str(TODAY)}) == "no champion"
    add_version(registry, package("good"), age=2, cost_usd=7)
    add_version(registry, package("good"), age=0)
    assert freshness_stamp(manifest, {"day": str(TODAY)}) == "champion 1 of 2026-01-07\nage 2 version 1 7 USD"


def test_of_several_models_of_a_day_the_champion_is_replayed(
    registry: Registry,  # noqa: F811
    package: Callable[[str], Path],
) -> None:
    for age, promoted in ((1, True), (1, False), (6, True), (-1, True)):
        add_version(registry, package("good"), age=age, promoted=promoted)
    entries = Ledger.open(Settings.from_environment(), registry.name).entries()
    aged = aged_versions(entries, all_versions(registry), TODAY, count=5)
    assert {age: one.version for age, one in aged.items()} == {1: "1"}


def test_what_was_rolled_back_is_not_replayed(
    registry: Registry,  # noqa: F811
    package: Callable[[str], Path],
) -> None:
    for age in (3, 2):
        add_version(registry, package("good"), age=age)
    written = Ledger.open(Settings.from_environment(), registry.name)
    entries = written.entries()
    back = Draft(
        event=Event.ROLLED_BACK,
        version="1",
        previous_version="2",
        day=entries[-1].day,
        actor="test",
        reason="found harmful",
    )
    entries = written.append(back, after=entries)
    aged = aged_versions(entries, all_versions(registry), TODAY, count=5)
    assert {age: one.version for age, one in aged.items()} == {3: "1"}


def test_costs_are_written_beside_the_version_once_and_listed(
    registry: Registry,  # noqa: F811
    package: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    version = add_version(registry, package("good"), age=1)
    settings = Settings.from_environment()
    outcomes = [outcome("train"), outcome("evaluate", stage="gates"), outcome("contract", stage="data")]
    write(settings, *[one.model_copy(update={"pipeline": registry.name}) for one in outcomes])
    for name, value in {"PIPELINE": registry.name, "RUN_ID": "run-1", "NODE": "costs"}.items():
        monkeypatch.setenv(f"DAYBREAK_{name}", value)
    RegisteredModel(name=registry.name, version=version).write(tmp_path / "registration")
    net = Statement(cost_usd=2, kpi="revenue", lift=Estimate(0.03, 0.01, 0.05), net_usd=Estimate(30, 10, 50))
    net.write(tmp_path / "benefit")
    inputs = {
        "registration": [_artifact(Registration, tmp_path / "registration")],
        "benefit": [_artifact(Benefit, tmp_path / "benefit")],
    }
    for _ in range(2):
        parameters = {"pipeline": registry.name, "day": "2026-01-08", "worth": WORTH.model_dump_json()}
        CostsExecutor().Do(inputs, {"entry": [_artifact(CostEntry, tmp_path / "entry")]}, parameters)
    whole = Entry.model_validate_json((tmp_path / "entry" / ENTRY_FILE).read_text())
    assert [node.node for node in whole.nodes] == ["contract", "evaluate", "train"]
    assert read_costs(registry) == {version: whole.model_copy(update={"nodes": ()})}
    assert (whole.training_usd, whole.gates_usd, whole.total_usd) == pytest.approx((1, 1, 3))

    refused = DecisionRecord(
        pipeline=registry.name,
        day="2026-01-09",
        run_id="run-1",
        verdict=Verdict.REFUSED,
        gate="freshness",
        reason="SKIP(cost): not worth it",
        next_command="",
    )
    refused.write(settings)
    lines = read_lines(registry, settings, registry.name, PRICES)
    assert [(line.day, line.version, line.cost_usd) for line in lines] == [
        ("2026-01-08", version, pytest.approx(3)),
        ("2026-01-09", "", pytest.approx(3)),
    ]
    spent = sum_of_runs(settings, registry.name, PRICES)
    assert spent == pytest.approx(3), "both lines are of one run"
    table = render(lines, spent_usd=spent)
    assert "30.00 [10.00, 50.00]" in table and "revenue +3.00% [+1.00%, +5.00%]" in table
    assert "SKIP(cost)" in table and "3 USD spent" in table


def test_rows_are_taken_from_the_whole_day() -> None:
    groups = [RowGroup("a", number, 100) for number in range(10)]
    assert choose_groups(groups, 1000) == groups
    assert [group.number for group in choose_groups(groups, 300)] == [0, 4, 8]
    assert choose_groups([], 300) == []


def test_a_cached_run_is_not_paid_twice() -> None:
    train = outcome("train", uri="/m/1")
    again = {"train": outcome("train", uri="/m/1", worked=False, run_id="run-2")}
    found = make_entry(node_costs(again, makers={"train": train}, prices=PRICES), day="2026-01-08", run_id="run-2")
    assert (found.total_usd, found.today_usd) == (pytest.approx(1), 0)
    assert np.isclose(found.cpu_core_hours, 1)
