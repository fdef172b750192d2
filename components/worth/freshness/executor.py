"""Fetches the models of the days before, replays today's eval rows, decides."""

from __future__ import annotations

import datetime
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx.dsl.components.base.base_executor import BaseExecutor
from tfx.types import Artifact, artifact_utils

from components.decision.report import Check, GateReport, Verdict
from components.evaluation.scoring import Scoring
from components.examples.records import row_groups
from components.inference.aging import Curve
from components.registry.versions import Registry
from components.tracking import current
from components.worth.freshness.curve import curve_rows, gain_of_training, measure_curve, write_curve
from components.worth.freshness.deciding import Action, Decision, Situation, decide
from components.worth.freshness.history import History, read_history
from components.worth.replay import Replay, choose_groups, fetch_model, replay_models
from pipelines.errors import DataError
from pipelines.settings import Settings
from pipelines.spec import Drift, Worth
from pipelines.spec import Freshness as FreshnessOfSpec

GATE = "freshness"
SPLIT = "eval"
READABLE = "readable"


class FreshnessExecutor(BaseExecutor):  # type: ignore[misc]
    """Work of `components.worth.freshness.component.Freshness`."""

    def Do(
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Raises `TransientError` when the registry does not answer or a model cannot be fetched."""
        worth = Worth.model_validate_json(exec_properties["worth"])
        freshness = worth.freshness
        assert freshness is not None, "assembled only with `worth.freshness`"
        day = datetime.date.fromisoformat(exec_properties["day"])
        settings, name = Settings.from_environment(), str(exec_properties["pipeline"])
        history = read_history(settings, name, day, count=freshness.models)
        registry = Registry.connect(settings, name)
        replay = _replay(registry, history, input_dict, exec_properties, freshness)
        ages = {version.version: age for age, version in history.versions.items()}
        curve = measure_curve(replay, ages, metric=freshness.metric)
        drift = _drift(input_dict, Drift.model_validate_json(exec_properties["drift"]))
        situation = _situation(history, curve, day=day, worth=worth, drift=drift)
        decision = decide(situation, freshness)
        report = judge(decision, situation, pipeline=name, day=day)
        _publish(report, decision, situation, curve, replay, history, output_dict, metric=freshness.metric)


def judge(decision: Decision, situation: Situation, *, pipeline: str, day: datetime.date) -> GateReport:
    """SKIP refuses the day."""
    skipped = decision.action is Action.SKIP
    gain = situation.gain_usd
    check = Check(
        name="gain of a fresh model",
        verdict=Verdict.REFUSED if skipped else Verdict.ACCEPTED,
        observed=gain.value if gain else None,
        interval=(gain.low, gain.high) if gain else None,
        bound=f">= {situation.cost_usd:.4g} USD" if situation.cost_usd is not None else "",
        reason=decision.reason,
        reason_code=decision.code,
    )
    command = f"daybreak run {pipeline} --day {day} --force --reason TEXT" if skipped else ""
    return GateReport.of(GATE, [check], reason=decision.reason, next_command=command)


def _replay(
    registry: Registry,
    history: History,
    input_dict: dict[str, list[Artifact]],
    exec_properties: Mapping[str, Any],
    freshness: FreshnessOfSpec,
) -> Replay:
    scoring = Scoring(
        models={},
        transform=Path(artifact_utils.get_single_uri(input_dict["transform_graph"])),
        schema=_schema(input_dict),
        label=str(exec_properties["label"]),
    )
    groups = row_groups(Path(artifact_utils.get_single_uri(input_dict["examples"])), SPLIT)
    with tempfile.TemporaryDirectory() as folder:
        models, missing = _fetch(registry, history, Path(folder))
        chosen = choose_groups(groups, freshness.rows)
        replay = replay_models(models, chosen, scoring, unit=str(exec_properties["unit"]))
    return replay._replace(left_out=missing | replay.left_out)


def _fetch(registry: Registry, history: History, folder: Path) -> tuple[dict[str, Path], dict[str, str]]:
    """The models, and why those are missing that the server no longer has."""
    models, missing = {}, {}
    for version in history.versions.values():
        try:
            models[version.version] = fetch_model(registry, version, folder / version.version)
        except DataError as error:
            missing[version.version] = error.message
    return models, missing


def _schema(input_dict: dict[str, list[Artifact]]) -> schema_pb2.Schema:
    path = Path(artifact_utils.get_single_uri(input_dict["schema"])) / "schema.pbtxt"
    return text_format.Parse(path.read_text(), schema_pb2.Schema())


def _drift(input_dict: dict[str, list[Artifact]], drift: Drift) -> tuple[float, str]:
    """The largest share of its bound that a column has drifted, and the column."""
    report = GateReport.read(Path(artifact_utils.get_single_uri(input_dict["anomalies_report"])))
    bounds = drift.l_infinity | drift.jensen_shannon
    shares = [(0.0, "")]
    for check in report.checks:
        column = check.name.removeprefix("drift: ")
        if column != check.name and bounds.get(column) and isinstance(check.observed, int | float):
            shares.append((check.observed / bounds[column], column))
    return max(shares)


def _situation(
    history: History, curve: Curve | None, *, day: datetime.date, worth: Worth, drift: tuple[float, str]
) -> Situation:
    champion, freshness = history.champion, worth.freshness
    if champion is None or freshness is None:
        return Situation()
    age = (day - champion.day).days if champion.day else freshness.max_age_days
    gain = (
        gain_of_training(curve, champion_age=age, worth=worth, lift_per_unit=freshness.lift_per_unit) if curve else None
    )
    return Situation(
        champion=champion.version or "",
        champion_age=age,
        gain_usd=gain,
        cost_usd=history.cost_usd,
        drift=drift[0],
        drifted=drift[1],
    )


def _publish(
    report: GateReport,
    decision: Decision,
    situation: Situation,
    curve: Curve | None,
    replay: Replay,
    history: History,
    output_dict: dict[str, list[Artifact]],
    *,
    metric: str,
) -> None:
    [artifact], [folder] = output_dict["report"], output_dict["curve"]
    report.write(Path(artifact.uri))
    artifact.verdict = report.verdict.value
    versions = {age: version.version for age, version in history.versions.items()}
    content = {
        "action": decision.action.value,
        "code": decision.code,
        "champion": situation.champion,
        "champion_age_days": situation.champion_age,
        "cost_usd": situation.cost_usd,
        "gain_usd": situation.gain_usd._asdict() if situation.gain_usd else None,
        "loss_per_day": {"value": curve.slope, "error": curve.slope_error} if curve else None,
        "rows": len(replay.labels),
        "models": curve_rows(curve, versions, metric=metric),
        "left_out": replay.left_out,
    }
    write_curve(Path(folder.uri) / READABLE, content, curve, metric=metric)
    current().log_metrics(_metrics(situation, curve))
    for row in curve_rows(curve, versions, metric=metric):
        current().log_metrics({"loss_by_age": row["loss_against_youngest"], metric: row[metric]}, step=row["age_days"])
    for name, why in replay.left_out.items():
        print(f"version {name} is left out: {why}")
    print(report.reason)


def _metrics(situation: Situation, curve: Curve | None) -> dict[str, float]:
    metrics = {"champion_age_days": float(situation.champion_age), "drift_share": situation.drift}
    if situation.cost_usd is not None:
        metrics["expected_cost_usd"] = situation.cost_usd
    if situation.gain_usd:
        metrics |= {f"gain_usd/{name}": value for name, value in situation.gain_usd._asdict().items()}
    if curve:
        metrics |= {"loss_per_day": curve.slope, "loss_per_day_error": curve.slope_error}
    return metrics
