"""From a spec to the TFX pipeline of one daily retrain.

    from pipelines.assemble import assemble
    from pipelines.spec import load_spec

    pipeline, nodes = assemble(load_spec("shop"), settings)
    compile_pipeline(pipeline, settings, spec=spec, nodes=nodes)

The order of the nodes is the order of the day: data, validation, features, training, evaluation, release.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from tfx import v1 as tfx
from tfx.dsl.components.base.base_component import BaseComponent
from tfx.dsl.components.base.base_node import BaseNode
from tfx.orchestration.data_types import RuntimeParameter
from tfx.types.channel_utils import union

from components.anomalies.component import Anomalies
from components.business.component import Business
from components.compression.component import Compress
from components.contract.component import Contract
from components.contract.source import is_window
from components.evaluation.component import Evaluate
from components.examples.component import Examples
from components.learning.component import Learning
from components.registry.champion.component import Champion
from components.registry.register.component import Register
from components.serving_check.component import ServingCheck
from components.statistics.component import Statistics
from components.training.component import Train
from components.transform.component import Transform
from pipelines.cluster import BEAM_ARGS
from pipelines.manifest import Manifest
from pipelines.settings import Settings
from pipelines.spec import Resources, Spec, pipeline_folder

STAGES = {
    "contract": "data",
    "examples": "data",
    "statistics": "validation",
    "schema": "validation",
    "anomalies": "validation",
    "transform": "features",
    "train": "training",
    "compress": "training",
    "champion": "validation",
    "learning": "gates",
    "evaluate": "gates",
    "serving_check": "gates",
    "business": "gates",
    "register": "release",
}
DESCRIPTIONS = {
    "contract": "Great Expectations on the raw day; bad rows go to quarantine",
    "examples": "rows as columns of lists, split by a stable hash",
    "statistics": "TensorFlow Data Validation statistics of every split",
    "schema": "the curated schema of the pipeline folder",
    "anomalies": "today against the schema, and against the day the champion learned from",
    "transform": "preprocessing_fn over the day: transform graph and transformed examples",
    "train": "the training loop, time-boxed, checkpointed, resumed exactly",
    "compress": "smaller variants of the model, measured; the one within the allowed loss is passed on",
    "champion": "the model that was live when this day was retrained",
    "learning": "overfitting, divergence, leaking features, skew between training and serving",
    "evaluate": "candidate and champion on the same rows, by slice, with a written verdict",
    "serving_check": "the candidate in a real server: parity, latency, memory, cost",
    "business": "what candidate and champion would earn, from the log of lists that explore",
    "register": "a version in the model registry, and @champion when the verdict allows it",
}
# Two slots for what keeps every core busy, so that two pipelines do not overrun a small machine.
DEFAULT_RESOURCES = {
    "examples": Resources(slots=2),
    "statistics": Resources(slots=2),
    "transform": Resources(slots=2),
    "train": Resources(slots=2, timeout_minutes=24 * 60),
    "compress": Resources(slots=2),
    "evaluate": Resources(slots=2),
    "serving_check": Resources(slots=2),
    "business": Resources(slots=2),
}


def assemble(spec: Spec, settings: Settings) -> tuple[tfx.dsl.Pipeline, dict[str, dict[str, Any]]]:
    """The TFX pipeline of `spec` and, by node id, what the manifest says about each node beyond its edges."""
    pipeline = tfx.dsl.Pipeline(
        pipeline_name=spec.name,
        pipeline_root=str(settings.artifacts / spec.name),
        components=_components(spec),
        enable_cache=True,
        beam_pipeline_args=BEAM_ARGS,
    )
    return pipeline, {component.id: _describe(spec, component.id) for component in pipeline.components}


def _components(spec: Spec) -> list[BaseNode]:
    day = RuntimeParameter(name="day", ptype=str)
    rows_limit = RuntimeParameter(name="rows_limit", ptype=int, default=0)
    # Of a single day a forced run makes the same rows, so that it finds them in the cache.
    force = RuntimeParameter(name="force", ptype=int, default=0) if is_window(spec.data.source) else 0
    data, label = spec.data.model_dump_json(), spec.data.label
    # The contract judges all rows: another rate must not make it read the day again.
    judged = spec.data.model_dump_json(exclude={"downsample"})

    contract = Contract(pipeline=spec.name, data=judged, day=day, rows_limit=rows_limit, force=force)
    examples = Examples(rows=contract.outputs["rows"], data=data)
    statistics = Statistics(examples=examples.outputs["examples"])
    schema = tfx.components.ImportSchemaGen(schema_file=f"pipelines/{spec.name}/schema.pbtxt")
    champion = Champion(pipeline=spec.name, day=day)
    anomalies = Anomalies(
        statistics=statistics.outputs["statistics"],
        schema=schema.outputs["schema"],
        champion_statistics=champion.outputs["statistics"],
        drift=spec.drift.model_dump_json(),
    )
    weight = spec.data.downsample.weight if spec.data.downsample else None
    transform = Transform(
        examples=examples.outputs["examples"],
        schema=schema.outputs["schema"],
        preprocessing_fn=f"pipelines.{spec.name}.features.preprocessing_fn",
        sample=examples.outputs["sample"] if weight else None,
        weight=weight,
    )
    # Anomalies refuse a day before it costs a training.
    transform.add_upstream_node(anomalies)
    train = Train(
        examples=transform.outputs["transformed_examples"],
        transform_graph=transform.outputs["transform_graph"],
        schema=schema.outputs["schema"],
        pipeline=spec.name,
        train=spec.train.model_dump_json(),
        label=label,
        weight=weight,
    )
    compress = _compress(spec, train, transform, examples, schema)
    model = (compress or train).outputs["model"]
    learning = Learning(
        examples=examples.outputs["examples"],
        transformed_examples=transform.outputs["transformed_examples"],
        transform_graph=transform.outputs["transform_graph"],
        schema=schema.outputs["schema"],
        model=model,
        model_run=train.outputs["model_run"],
        learning=spec.learning.model_dump_json(),
        label=label,
        unit=spec.data.split_key,
    )
    evaluate = Evaluate(
        examples=examples.outputs["examples"],
        model=model,
        champion_model=champion.outputs["model"],
        schema=schema.outputs["schema"],
        transform_graph=transform.outputs["transform_graph"],
        evaluate=spec.evaluate.model_dump_json(),
        label=label,
        unit=spec.data.split_key,
    )
    serving_check = ServingCheck(
        examples=examples.outputs["examples"],
        model=model,
        schema=schema.outputs["schema"],
        serving=spec.serving.model_dump_json(),
        label=label,
    )
    # The cheapest first: a candidate that one gate refuses costs no other.
    gates: dict[str, BaseComponent] = {"learning": learning, "evaluate": evaluate, "serving_check": serving_check}
    if spec.kpis and spec.policy:
        gates["business"] = Business(
            rows=contract.outputs["rows"],
            model=model,
            champion_model=champion.outputs["model"],
            schema=schema.outputs["schema"],
            transform_graph=transform.outputs["transform_graph"],
            kpis=json.dumps([kpi.model_dump(mode="json") for kpi in spec.kpis]),
            policy=spec.policy.model_dump_json(),
            data=judged,
            day=day,
        )
    for before, after in pairwise(gates.values()):
        after.add_upstream_node(before)
    register = Register(
        model=model,
        model_run=train.outputs["model_run"],
        reports=union([gate.outputs["report"] for gate in gates.values()]),
        examples=examples.outputs["examples"],
        statistics=statistics.outputs["statistics"],
        schema=schema.outputs["schema"],
        transform_graph=transform.outputs["transform_graph"],
        pipeline=spec.name,
        day=day,
        label=label,
    )
    named = {
        "contract": contract,
        "examples": examples,
        "statistics": statistics,
        "schema": schema,
        "champion": champion,
        "anomalies": anomalies,
        "transform": transform,
        "train": train,
        **({"compress": compress} if compress else {}),
        **gates,
        "register": register,
    }
    return [component.with_id(name) for name, component in named.items()]


def _compress(spec: Spec, train: Train, transform: Transform, examples: Examples, schema: BaseNode) -> Compress | None:
    if spec.compress is None:
        return None
    return Compress(
        trained_model=train.outputs["model"],
        examples=examples.outputs["examples"],
        transformed_examples=transform.outputs["transformed_examples"],
        transform_graph=transform.outputs["transform_graph"],
        schema=schema.outputs["schema"],
        pipeline=spec.name,
        compress=spec.compress.model_dump_json(),
        train=spec.train.model_dump_json(),
        slices=json.dumps(spec.evaluate.slices),
        label=spec.data.label,
        weight=spec.data.downsample.weight if spec.data.downsample else None,
    )


def _describe(spec: Spec, node: str) -> dict[str, Any]:
    resources = spec.resources.get(node, DEFAULT_RESOURCES.get(node, Resources()))
    return {
        "stage": STAGES[node],
        "description": DESCRIPTIONS[node],
        "slots": resources.slots,
        "timeout_secs": resources.timeout_minutes * 60,
        "code": _code(spec.name)[node],
        "stamps": {
            "contract": {"source": "components.contract.source:source_fingerprint"},
            "schema": {"schema": "pipelines.assemble:schema_stamp"},
            "champion": {"champion": "components.registry.champion.stamp:champion_stamp"},
            "business": {"log": "components.business.stamp:log_stamp"},
        }.get(node, {}),
    }


def _code(name: str) -> dict[str, tuple[str, ...]]:
    """The modules whose source decides what a node makes; stock nodes change with the locked environment only."""
    row_groups = ("components.aggregation", "components.concurrency", "components.days")
    examples = ("components.examples.records", "components.examples.texts")
    return {
        "contract": ("components.contract", "components.days", f"pipelines.{name}.expectations"),
        "examples": ("components.examples", *row_groups),
        "statistics": ("components.statistics", *row_groups, *examples),
        "schema": (),
        "anomalies": ("components.anomalies",),
        "transform": ("components.transform", *row_groups, *examples, f"pipelines.{name}.features"),
        "train": (
            "components.training",
            "components.transform.blocks",
            f"pipelines.{name}.model",
            f"pipelines.{name}.features",
        ),
        "learning": (
            "components.learning",
            "components.inference",
            "components.evaluation.metrics",
            "components.evaluation.scoring",
            "components.evaluation.sums",
            "components.transform",
            *examples,
        ),
        "compress": (
            "components.compression",
            "components.evaluation",
            "components.training",
            "components.aggregation",
            "components.concurrency",
            "components.transform.blocks",
            "components.transform.graph",
            "components.transform.tensors",
            *examples,
            f"pipelines.{name}.model",
            f"pipelines.{name}.features",
        ),
        "champion": ("components.registry", "components.ledger.entries"),
        "evaluate": (
            "components.evaluation",
            "components.inference",
            "components.aggregation",
            "components.concurrency",
            "components.transform.graph",
            "components.transform.tensors",
            *examples,
        ),
        "serving_check": (
            "components.serving_check",
            "components.serving",
            "components.evaluation.scoring",
            "components.transform.graph",
            "components.transform.tensors",
            *examples,
        ),
        "business": (
            "components.business",
            "components.inference",
            "components.evaluation.scoring",
            "components.transform.graph",
            "components.transform.tensors",
            "components.days",
            "components.examples.splitting",
            *examples,
        ),
        "register": ("components.registry", "components.ledger.entries"),
    }


def schema_stamp(manifest: Manifest, parameters: Mapping[str, str | int]) -> str:
    """Digest of the curated schema: ImportSchemaGen's own cache key holds its path only."""
    del parameters
    return hashlib.sha256((pipeline_folder(manifest.pipeline) / "schema.pbtxt").read_bytes()).hexdigest()[:16]
