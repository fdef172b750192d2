"""TFDV's anomalies as checks that a human reads."""

from __future__ import annotations

from collections.abc import Iterator

from tensorflow_metadata.proto.v0 import anomalies_pb2

from components.decision.report import Check, Verdict
from pipelines.spec import Drift

_DRIFT_REASONS = {
    anomalies_pb2.AnomalyInfo.COMPARATOR_L_INFTY_HIGH,
    anomalies_pb2.AnomalyInfo.COMPARATOR_JENSEN_SHANNON_DIVERGENCE_HIGH,
}


def anomaly_checks(anomalies: anomalies_pb2.Anomalies, *, split: str) -> list[Check]:
    """One check per anomalous column, or one that says the split agrees with the schema. Drift is left out."""
    checks = [
        Check(
            name=f"schema: {name}",
            verdict=Verdict.REFUSED if info.severity == anomalies_pb2.AnomalyInfo.ERROR else Verdict.ACCEPTED,
            observed=_short(info),
            bound="as schema.pbtxt says",
            slice=f"split {split}",
            reason=f"{name}: {info.description or info.short_description}",
        )
        for name, info in sorted(anomalies.anomaly_info.items())
        if not _is_drift_only(info)
    ]
    if anomalies.HasField("dataset_anomaly_info"):
        checks.append(_dataset_check(anomalies.dataset_anomaly_info, split=split))
    return checks or [
        Check(name="schema", verdict=Verdict.ACCEPTED, bound="as schema.pbtxt says", slice=f"split {split}")
    ]


def drift_checks(anomalies: anomalies_pb2.Anomalies, *, drift: Drift, has_champion: bool) -> list[Check]:
    """One check per column with a drift bound: the measured distance beside the bound."""
    bounds = drift.l_infinity | drift.jensen_shannon
    if not bounds:
        return []
    if not has_champion:
        return [Check(name="drift", verdict=Verdict.ACCEPTED, reason="no champion yet: there is nothing to drift from")]
    measured = dict(_distances(anomalies))
    return [_drift_check(name, measured.get(name), bound) for name, bound in sorted(bounds.items())]


def _drift_check(name: str, distance: float | None, bound: float) -> Check:
    if distance is None:
        return Check(
            name=f"drift: {name}",
            verdict=Verdict.REFUSED,
            bound=f"<= {bound:g}",
            reason=f"{name}: the distance to the champion's day cannot be computed; the column is empty on one side",
        )
    return Check(
        name=f"drift: {name}",
        verdict=Verdict.REFUSED if distance > bound else Verdict.ACCEPTED,
        observed=round(distance, 6),
        bound=f"<= {bound:g}",
        reason=f"{name}: distance {distance:.4g} to the champion's training day, bound {bound:g}",
    )


def _distances(anomalies: anomalies_pb2.Anomalies) -> Iterator[tuple[str, float]]:
    for info in anomalies.drift_skew_info:
        for measurement in info.drift_measurements:
            yield info.path.step[0], measurement.value


def _is_drift_only(info: anomalies_pb2.AnomalyInfo) -> bool:
    return bool(info.reason) and all(reason.type in _DRIFT_REASONS for reason in info.reason)


def _dataset_check(info: anomalies_pb2.AnomalyInfo, *, split: str) -> Check:
    return Check(
        name="schema: whole split",
        verdict=Verdict.REFUSED,
        observed=_short(info),
        slice=f"split {split}",
        reason=info.description or info.short_description,
    )


def _short(info: anomalies_pb2.AnomalyInfo) -> str:
    return info.short_description[:200]
