"""From a spec to the TFX pipeline of one daily retrain.

    from pipelines.assemble import assemble
    from pipelines.spec import load_spec

    pipeline, nodes = assemble(load_spec("shop"), settings)
    compile_pipeline(pipeline, settings, spec=spec, nodes=nodes)

The order of the nodes is the order of the day: data, validation, features, training, evaluation, release.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from tfx import v1 as tfx
from tfx.dsl.components.base.base_node import BaseNode
from tfx.orchestration.data_types import RuntimeParameter
from tfx.types.channel_utils import union

from components.anomalies.component import Anomalies
from components.contract.component import Contract
from components.evaluation.component import Evaluate
from components.examples.component import Examples
from components.registry.champion.component import Champion
from components.registry.register.component import Register
from components.statistics.component import Statistics
from components.training.component import Train
from components.transform.component import Transform
from components.worth.benefit.component import Worth
from components.worth.costs.component import Costs
from components.worth.freshness.component import Freshness
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
    "freshness": "training",
    "train": "training",
    "champion": "validation",
    "evaluate": "gates",
    "worth": "gates",
    "register": "release",
    "costs": "release",
}
DESCRIPTIONS = {
    "contract": "Great Expectations on the raw day; bad rows go to quarantine",
    "examples": "rows as columns of lists, split by a stable hash",
    "statistics": "TensorFlow Data Validation statistics of every split",
    "schema": "the curated schema of the pipeline folder",
    "anomalies": "today against the schema, and against the day the champion learned from",
    "transform": "preprocessing_fn over the day: transform graph and transformed examples",
    "freshness": "what a day of staleness costs, from the models of the days before: TRAIN or SKIP",
    "train": "the training loop, time-boxed, checkpointed, resumed exactly",
    "champion": "the model that was live when this day was retrained",
    "evaluate": "candidate and champion on the same rows, by slice, with a written verdict",
    "worth": "what the candidate is expected to bring, less what it cost",
    "register": "a version in the model registry, and @champion when the verdict allows it",
    "costs": "what the version cost, beside the KPI it is expected to earn",
}
# Two slots for what keeps every core busy, so that two pipelines do not overrun a small machine.
DEFAULT_RESOURCES = {
    "examples": Resources(slots=2),
    "statistics": Resources(slots=2),
    "transform": Resources(slots=2),
    "train": Resources(slots=2, timeout_minutes=24 * 60),
    "evaluate": Resources(slots=2),
    "freshness": Resources(slots=2),
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
    force = RuntimeParameter(name="force", ptype=int, default=0)
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
        force=force,
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
    before_training: dict[str, BaseNode] = {}
    if spec.worth and spec.worth.freshness:
        before_training["freshness"] = Freshness(
            examples=examples.outputs["examples"],
            schema=schema.outputs["schema"],
            transform_graph=transform.outputs["transform_graph"],
            anomalies_report=anomalies.outputs["report"],
            pipeline=spec.name,
            day=day,
            worth=spec.worth.model_dump_json(),
            drift=spec.drift.model_dump_json(),
            label=label,
            unit=spec.data.split_key,
            force=force,
        )
    train = Train(
        examples=transform.outputs["transformed_examples"],
        transform_graph=transform.outputs["transform_graph"],
        schema=schema.outputs["schema"],
        pipeline=spec.name,
        train=spec.train.model_dump_json(),
        label=label,
        weight=weight,
    )
    for node in before_training.values():
        train.add_upstream_node(node)
    evaluate = Evaluate(
        examples=examples.outputs["examples"],
        model=train.outputs["model"],
        champion_model=champion.outputs["model"],
        schema=schema.outputs["schema"],
        transform_graph=transform.outputs["transform_graph"],
        evaluate=spec.evaluate.model_dump_json(),
        label=label,
    )
    # The cheapest first: a candidate that one gate refuses costs no other.
    gates: dict[str, BaseNode] = {"evaluate": evaluate}
    if spec.worth:
        business = gates["business"].outputs if "business" in gates else {}
        gates["worth"] = Worth(
            model=train.outputs["model"],
            champion_model=champion.outputs["model"],
            business_report=business.get("report"),
            business_evaluation=business.get("evaluation"),
            worth=spec.worth.model_dump_json(exclude={"freshness"}),
        )
    for before, after in pairwise(gates.values()):
        after.add_upstream_node(before)
    register = Register(
        model=train.outputs["model"],
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
    after_release: dict[str, BaseNode] = {}
    if spec.worth:
        after_release["costs"] = Costs(
            registration=register.outputs["registration"],
            benefit=gates["worth"].outputs["benefit"],
            pipeline=spec.name,
            day=day,
            worth=spec.worth.model_dump_json(exclude={"freshness"}),
        )
    named = {
        "contract": contract,
        "examples": examples,
        "statistics": statistics,
        "schema": schema,
        "champion": champion,
        "anomalies": anomalies,
        "transform": transform,
        **before_training,
        "train": train,
        **gates,
        "register": register,
        **after_release,
    }
    return [component.with_id(name) for name, component in named.items()]


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
            "freshness": {"models": "components.worth.freshness.stamp:freshness_stamp"},
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
        "champion": ("components.registry",),
        "evaluate": (
            "components.evaluation",
            "components.aggregation",
            "components.concurrency",
            "components.transform.graph",
            "components.transform.tensors",
            *examples,
        ),
        "freshness": (
            "components.worth",
            "components.inference",
            "components.registry.versions",
            "components.evaluation.scoring",
            "components.evaluation.slicing",
            "components.transform.graph",
            "components.transform.tensors",
            *examples,
        ),
        "worth": ("components.worth", "components.inference"),
        "register": ("components.registry",),
        "costs": ("components.worth", "components.inference", "components.registry.versions"),
    }


def schema_stamp(manifest: Manifest, parameters: Mapping[str, str | int]) -> str:
    """Digest of the curated schema: ImportSchemaGen's own cache key holds its path only."""
    del parameters
    return hashlib.sha256((pipeline_folder(manifest.pipeline) / "schema.pbtxt").read_bytes()).hexdigest()[:16]
