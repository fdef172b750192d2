"""Fourteen simulated days through Airflow: four are sabotaged, each in another way, and each meets the gate for it."""

from __future__ import annotations

import datetime
import subprocess
import sys
from typing import Any, NamedTuple

import pytest

from infra.demo import run_id
from infra.live_shop import PIPELINE
from tests.e2e.conftest import PROMOTED_AT_ONCE, Shop

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(10_000)]

START, DAYS = datetime.date(2026, 2, 2), 14
ROWS = 40_000
"""From 20,000 the business gate cannot tell what a model as different as the one with clickbait would earn."""
PATIENCE_SECS = 2400


class Sabotage(NamedTuple):
    gate: str
    reason: str
    """Part of it."""
    spoil: str = ""
    """Expression over `clicked`, `price` and `draw`: what the day says was clicked. What clicks were worth stays as it was."""
    settings: tuple[str, ...] = ()
    """Changes to the spec."""


SABOTAGE = {
    4: Sabotage("anomalies", "clicked: distance", spoil="(clicked == 1) | (draw < 0.13)"),
    7: Sabotage(
        "learning",
        "overfitted, the gap is above",
        settings=(
            "train.epochs=25",
            "train.early_stopping_epochs=null",
            "train.hyperparameters={embedding: 64, units: [256, 128]}",
        ),
    ),
    9: Sabotage(
        "serving_check",
        "p99",
        settings=("train.hyperparameters={learning_rate: 0.0005, embedding: 8, units: [6000, 5000, 1000]}",),
    ),
    # Clicks on the dearer half are lost, and as many on the cheaper half mean nothing: who finds that is better by every metric.
    11: Sabotage(
        "business",
        "certainly a loss beyond the margin",
        spoil="numpy.where(price < numpy.median(price), (clicked == 1) | (draw < 0.06), (clicked == 1) & (draw > 0.9))",
    ),
}


def test_each_sabotaged_day_is_refused_by_its_gate_and_the_others_pass(shop: Shop) -> None:
    days = [(START + datetime.timedelta(number)).isoformat() for number in range(DAYS)]
    made = shop.ml("pipelines.shop.simulator", "--days", str(DAYS), "--start", days[0], "--rows", str(ROWS))
    assert made.returncode == 0, made.stderr[-2000:]
    found = {}
    for number, day in enumerate(days):
        sabotage = SABOTAGE.get(number)
        if sabotage and sabotage.spoil:
            _spoil(shop, day, sabotage.spoil)
        _compile(shop, sabotage.settings if sabotage else ())
        name = shop.trigger(f"gates-{day}", day=day)
        state = shop.wait(name, seconds=PATIENCE_SECS)
        record = shop.result(name, day, state).decision
        found[number] = (record["verdict"], record["gate"], record["reason"])
        print(day, *found[number], flush=True)
        if sabotage:
            _require_told(shop, name, day, record, sabotage)
    _compile(shop, ())
    refused = {number: (verdict, gate) for number, (verdict, gate, _) in found.items() if verdict != "accepted"}
    assert refused == {number: ("refused", sabotage.gate) for number, sabotage in SABOTAGE.items()}, found


def _require_told(shop: Shop, name: str, day: str, record: dict[str, Any], sabotage: Sabotage) -> None:
    """In the record, by `daybreak explain`, in Airflow's grid and in MLflow."""
    assert (record["verdict"], record["gate"]) == ("refused", sabotage.gate), record["reason"]
    assert sabotage.reason in record["reason"]
    explained = subprocess.run(
        [sys.executable, "-m", "pipelines.cli", "explain", PIPELINE, "--day", day],
        env=shop.installation.environ(),
        cwd=shop.settings.home,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert f"Refused by `{sabotage.gate}`" in explained and sabotage.reason in explained
    assert shop.task_states(name)[sabotage.gate] == "failed"
    assert shop.task_states(name)["register"] == "upstream_failed"
    tags = _tags_of_run(shop, run_id(day, name))
    assert (tags["daybreak.verdict"], tags["daybreak.gate"]) == ("refused", sabotage.gate)
    assert tags["mlflow.note.content"].splitlines()[2].startswith(f"**Refused by `{sabotage.gate}`")


def _tags_of_run(shop: Shop, run: str) -> dict[str, str]:
    from mlflow import MlflowClient

    client = MlflowClient(f"http://127.0.0.1:{shop.installation.mlflow_port}")
    experiment = client.get_experiment_by_name(PIPELINE)
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], f"tags.`daybreak.run_id` = '{run}'")
    [found] = [one for one in runs if "mlflow.parentRunId" not in one.data.tags]
    tags: dict[str, str] = found.data.tags
    return tags


def _compile(shop: Shop, settings: tuple[str, ...]) -> None:
    changes = [word for setting in settings for word in ("--set", setting)]
    done = shop.ml("pipelines.compile", PIPELINE, *PROMOTED_AT_ONCE, *changes)
    assert done.returncode == 0, done.stderr[-2000:]


def _spoil(shop: Shop, day: str, clicks: str) -> None:
    code = f"""
import sys, numpy, pyarrow, pyarrow.parquet as parquet
table = parquet.read_table(sys.argv[1])
price, clicked = table["price"].to_numpy(), table["clicked"].to_numpy()
draw = numpy.random.default_rng(1).random(len(table))
clicked = numpy.asarray({clicks}, int)
field = table.schema.field("clicked")
table = table.set_column(table.column_names.index("clicked"), field, pyarrow.array(clicked).cast(field.type))
parquet.write_table(table, sys.argv[1])
"""
    path = shop.settings.data / "shop" / f"day={day}" / "impressions.parquet"
    subprocess.run([str(shop.settings.python("ml")), "-c", code, str(path)], check=True)
