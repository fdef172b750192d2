"""The spec of one pipeline: `pipelines/<name>/pipeline.yaml`, frozen and self-checking.

    from pipelines.spec import load_spec

    spec = load_spec("shop")
    spec.data.label, spec.train.epochs
    print(spec.model_dump_json(indent=2))

Every problem names file, path, what is allowed, what was received and the fix; all problems come in one error.
Importable in every environment: pydantic and PyYAML only.
"""

from __future__ import annotations

from pipelines.spec.base import Frozen
from pipelines.spec.baselines import BaselineModel, Baselines, Loss
from pipelines.spec.compress import Compress
from pipelines.spec.data import ColumnType, Data, Downsample, Images
from pipelines.spec.evaluate import (
    CLASS_METRICS,
    METRICS,
    Bound,
    Change,
    Evaluate,
    Fairness,
    Metric,
    number_of,
    threshold_of,
)
from pipelines.spec.kpi import Kpi, Policy
from pipelines.spec.learning import Learning
from pipelines.spec.loading import load_spec, parse_spec, pipeline_folder
from pipelines.spec.model import Drift, StrategyName, Train
from pipelines.spec.operation import Budget, Cluster, ClusterKind, Resources, Schedule
from pipelines.spec.rollout import Guardrails, Rollout
from pipelines.spec.serving import Serving
from pipelines.spec.source import Source
from pipelines.spec.whole import Spec
from pipelines.spec.worth import Freshness, Prices, Worth

__all__ = [
    "CLASS_METRICS",
    "METRICS",
    "BaselineModel",
    "Baselines",
    "Bound",
    "Budget",
    "Change",
    "Cluster",
    "ClusterKind",
    "ColumnType",
    "Compress",
    "Data",
    "Downsample",
    "Drift",
    "Evaluate",
    "Fairness",
    "Freshness",
    "Frozen",
    "Guardrails",
    "Images",
    "Kpi",
    "Learning",
    "Loss",
    "Metric",
    "Policy",
    "Prices",
    "Resources",
    "Rollout",
    "Schedule",
    "Serving",
    "Source",
    "Spec",
    "StrategyName",
    "Train",
    "Worth",
    "load_spec",
    "number_of",
    "parse_spec",
    "pipeline_folder",
    "threshold_of",
]
