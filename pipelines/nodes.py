"""What the manifest says about each node of a daily retrain, beyond its edges.

    describe_node(spec, "train")["slots"]

The order is that of the day.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipelines.manifest import Manifest
from pipelines.spec import Resources, Spec, pipeline_folder

_ROW_GROUPS = ("components.aggregation", "components.concurrency", "components.days")
_EXAMPLES = ("components.examples.records", "components.examples.texts")
_SCORING = (
    "components.evaluation.scoring",
    "components.evaluation.scored",
    "components.evaluation.slicing",
    "components.days.listing",
    "components.transform.exporting",
    "components.transform.graph",
    "components.transform.tensors",
    *_EXAMPLES,
)
_USER_MODEL = ("pipelines.{name}.model", "pipelines.{name}.features")
_REGISTRY = ("components.registry", "components.ledger.entries")
# Two slots for what keeps every core busy, so that two pipelines do not overrun a small machine.
_ONE_CORE, _ALL_CORES = Resources(), Resources(slots=2)
_LONG = Resources(slots=2, timeout_minutes=24 * 60)


@dataclass(frozen=True)
class _Described:
    stage: str
    description: str
    code: tuple[str, ...] = ()
    """The modules whose source decides what it makes; stock nodes change with the locked environment only."""
    resources: Resources = _ONE_CORE
    stamps: Mapping[str, str] = field(default_factory=dict)
    """Functions of manifest and parameters whose result is part of the cache key."""


NODES: Mapping[str, _Described] = {
    "contract": _Described(
        "data",
        "Great Expectations on the raw day; bad rows go to quarantine",
        ("components.contract", "components.days", "pipelines.{name}.expectations"),
        stamps={"source": "components.contract.source:source_fingerprint"},
    ),
    "examples": _Described(
        "data", "rows as columns of lists, split by a stable hash", ("components.examples", *_ROW_GROUPS), _ALL_CORES
    ),
    "statistics": _Described(
        "validation",
        "TensorFlow Data Validation statistics of every split",
        ("components.statistics", *_ROW_GROUPS, *_EXAMPLES),
        _ALL_CORES,
    ),
    "schema": _Described(
        "validation",
        "the curated schema of the pipeline folder",
        stamps={"schema": "pipelines.nodes:schema_stamp"},
    ),
    "champion": _Described(
        "validation",
        "the model that was live when this day was retrained",
        _REGISTRY,
        stamps={"champion": "components.registry.champion.stamp:champion_stamp"},
    ),
    "anomalies": _Described(
        "validation",
        "today against the schema, and against the day the champion learned from",
        ("components.anomalies",),
    ),
    "transform": _Described(
        "features",
        "preprocessing_fn over the day: transform graph and transformed examples",
        ("components.transform", *_ROW_GROUPS, *_EXAMPLES, "pipelines.{name}.features"),
        _ALL_CORES,
    ),
    "freshness": _Described(
        "training",
        "what a day of staleness costs, from the models of the days before: TRAIN or SKIP",
        ("components.worth", "components.inference", "components.registry.versions", *_SCORING),
        _ALL_CORES,
        stamps={"models": "components.worth.freshness.stamp:freshness_stamp"},
    ),
    "train": _Described(
        "training",
        "the training loop, time-boxed, checkpointed, resumed exactly",
        ("components.training", "components.transform.blocks", *_USER_MODEL),
        _LONG,
    ),
    "baselines": _Described(
        "training",
        "a constant, a linear model and boosted trees on the same features",
        ("components.baselines", "components.training", "components.transform.blocks"),
        _LONG,
    ),
    "choose": _Described(
        "training",
        "all models of the day on the same rows: the candidate, and whether a simpler one is better",
        (
            "components.choice",
            "components.baselines.learned",
            "components.training.history",
            "components.inference",
            *_SCORING,
        ),
    ),
    "compress": _Described(
        "training",
        "smaller variants of the model, measured; the one within the allowed loss is passed on",
        (
            "components.compression",
            "components.inference",
            "components.evaluation",
            "components.registry.champion.artifact",
            "components.training",
            "components.transform",
            *_ROW_GROUPS,
            *_EXAMPLES,
            *_USER_MODEL,
        ),
        _ALL_CORES,
    ),
    "learning": _Described(
        "gates",
        "overfitting, divergence, leaking features, skew between training and serving",
        (
            "components.learning",
            "components.inference",
            "components.evaluation",
            "components.registry.champion.artifact",
            "components.transform",
            "components.training.history",
            *_ROW_GROUPS,
            *_EXAMPLES,
        ),
    ),
    "evaluate": _Described(
        "gates",
        "candidate and champion on the same rows, by slice, with a written verdict",
        (
            "components.evaluation",
            "components.inference",
            "components.aggregation",
            "components.concurrency",
            "components.registry.champion.artifact",
            *_SCORING,
        ),
        _ALL_CORES,
    ),
    "serving_check": _Described(
        "gates",
        "the candidate in a real server: parity, latency, memory, cost",
        (
            "components.serving_check",
            "components.serving",
            "components.compression.litert_file",
            "components.compression.litert_paths",
            *_SCORING,
        ),
        _ALL_CORES,
    ),
    "business": _Described(
        "gates",
        "what candidate and champion would earn, from the log of lists that explore",
        (
            "components.business",
            "components.inference",
            "components.contract",
            "components.examples",
            "components.registry.champion.artifact",
            *_ROW_GROUPS,
            *_SCORING,
        ),
        _ALL_CORES,
        stamps={"log": "components.business.stamp:log_stamp"},
    ),
    "worth": _Described(
        "gates",
        "what the candidate is expected to bring, less what it cost",
        ("components.worth", "components.inference", "components.registry.champion.artifact"),
    ),
    "register": _Described(
        "release", "a version in the model registry, and @champion when the verdict allows it", _REGISTRY
    ),
    "tfma": _Described(
        "release",
        "TensorFlow Model Analysis on a sample of the scored rows: its viewers, and a second opinion",
        (
            "components.model_analysis",
            "components.evaluation",
            "components.inference",
            "components.registry.champion.artifact",
            *_ROW_GROUPS,
            *_SCORING,
        ),
    ),
    "costs": _Described(
        "release",
        "what the version cost, beside the KPI it is expected to earn",
        ("components.worth", "components.inference", "components.registry.versions"),
    ),
}


def describe_node(spec: Spec, node: str) -> dict[str, Any]:
    """Stage, description, slots, deadline, code and stamps, as the manifest holds them."""
    found = NODES[node]
    resources = spec.resources.get(node, found.resources)
    return {
        "stage": found.stage,
        "description": found.description,
        "slots": resources.slots,
        "timeout_secs": resources.timeout_minutes * 60,
        "code": node_code(spec.name, node),
        "stamps": dict(found.stamps),
    }


def node_code(name: str, node: str) -> tuple[str, ...]:
    """Modules, of pipeline `name`."""
    return tuple(dict.fromkeys(module.format(name=name) for module in NODES[node].code))


def schema_stamp(manifest: Manifest, parameters: Mapping[str, str | int]) -> str:
    """Digest of the curated schema: ImportSchemaGen's own cache key holds its path only."""
    del parameters
    return hashlib.sha256((pipeline_folder(manifest.pipeline) / "schema.pbtxt").read_bytes()).hexdigest()[:16]
