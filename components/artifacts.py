"""Artifact types of Daybreak, beside TFX's standard ones. All are folders."""

from __future__ import annotations

from tfx.types.artifact import Artifact, Property, PropertyType

SPAN = Property(type=PropertyType.INT)
"""Days since 1970-01-01: the data day, explicit, never 'latest'."""


class RawDay(Artifact):
    """Rows that fulfil the contract: `rows-<index>-of-<count>.parquet`, row groups of at most 65,536 rows.

    Of a window a file for each day, and `days.json`.
    """

    TYPE_NAME = "RawDay"
    PROPERTIES = {"span": SPAN, "row_count": Property(type=PropertyType.INT)}


class Quarantine(Artifact):
    """Rows that broke the contract, as text, with the column `_reasons`: `quarantine.parquet`.

    Those of an earlier day of a window: `quarantine-<day>.parquet`.
    """

    TYPE_NAME = "Quarantine"
    PROPERTIES = {"span": SPAN, "row_count": Property(type=PropertyType.INT)}


class DataDocs(Artifact):
    """Great Expectations Data Docs: a static site, `index.html`, that needs no network."""

    TYPE_NAME = "DataDocs"


class GateReport(Artifact):
    """`report.json`: what one gate observed and decided (`components.decision.report.GateReport`)."""

    TYPE_NAME = "GateReport"
    PROPERTIES = {"verdict": Property(type=PropertyType.STRING)}


class ServingMeasures(Artifact):
    """`golden.json`: requests with their predictions; `serving.json`: what a server was seen to do with the model."""

    TYPE_NAME = "ServingMeasures"


class Registration(Artifact):
    """`registration.json`: model name, version, aliases moved, and why."""

    TYPE_NAME = "Registration"
    PROPERTIES = {"version": Property(type=PropertyType.STRING)}


class Compression(Artifact):
    """Variants of a model, measured: `variants.json`, `slices.json`, `variants.html`, `pareto.png`."""

    TYPE_NAME = "Compression"


class Baselines(Artifact):
    """`<model>/Format-Serving` of each simple model there is, and `learned.json`: rows, seconds, why one is missing."""

    TYPE_NAME = "Baselines"


class ModelComparison(Artifact):
    """`models.json` and `models.html`: quality, seconds, bytes and latency of each model, and which was chosen."""

    TYPE_NAME = "ModelComparison"


class Benefit(Artifact):
    """`benefit.json`: what a candidate cost and is expected to bring (`components.worth.benefit.statement`)."""

    TYPE_NAME = "Benefit"


class CostEntry(Artifact):
    """`costs.json`: what a model version cost, node by node (`components.worth.ledger.Entry`)."""

    TYPE_NAME = "CostEntry"
