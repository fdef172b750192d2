"""From a spec to the TFX pipeline of one daily retrain.

    from pipelines.assemble import assemble
    from pipelines.spec import load_spec

    pipeline, nodes = assemble(load_spec("shop"), settings)
    compile_pipeline(pipeline, settings, spec=spec, nodes=nodes)

The order of the nodes is the order of the day: data, validation, features, training, gates, release. What the spec does
not ask for is not part of the pipeline.
"""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

from tfx import v1 as tfx
from tfx.dsl.components.base.base_node import BaseNode
from tfx.orchestration.data_types import RuntimeParameter
from tfx.types.channel import BaseChannel
from tfx.types.channel_utils import union

from components.anomalies.component import Anomalies
from components.baselines.component import LearnBaselines
from components.business.component import Business
from components.choice.component import Choose
from components.compression.component import Compress
from components.contract.component import Contract
from components.contract.source import is_window
from components.evaluation.component import Evaluate
from components.examples.component import Examples
from components.learning.component import Learning
from components.model_analysis.component import ModelAnalysis
from components.registry.champion.component import Champion
from components.registry.register.component import Register
from components.rollout.standing import plan_of
from components.serving_check.component import ServingCheck
from components.statistics.component import Statistics
from components.training.component import Train
from components.transform.component import Transform
from components.worth.benefit.component import Worth
from components.worth.costs.component import Costs
from components.worth.freshness.component import Freshness
from pipelines.cluster import BEAM_ARGS
from pipelines.nodes import describe_node
from pipelines.settings import Settings
from pipelines.spec import Compress as CompressSettings
from pipelines.spec import Spec
from pipelines.spec import Worth as WorthSettings


def assemble(spec: Spec, settings: Settings) -> tuple[tfx.dsl.Pipeline, dict[str, dict[str, Any]]]:
    """The TFX pipeline of `spec` and, by node id, what the manifest says about each node beyond its edges."""
    nodes = _Retrain(spec).nodes
    pipeline = tfx.dsl.Pipeline(
        pipeline_name=spec.name,
        pipeline_root=str(settings.artifacts / spec.name),
        components=[node.with_id(name) for name, node in nodes.items()],
        enable_cache=True,
        beam_pipeline_args=BEAM_ARGS,
    )
    return pipeline, {name: describe_node(spec, name) for name in nodes}


class _Retrain:
    """The nodes by name, each after those it reads from."""

    def __init__(self, spec: Spec) -> None:
        self._spec, self._label, self._unit = spec, spec.data.label, spec.data.split_key
        self._weight = spec.data.downsample.weight if spec.data.downsample else None
        # The contract judges all rows: another rate must not make it read the day again.
        self._judged = spec.data.model_dump_json(exclude={"downsample"})
        self._day = RuntimeParameter(name="day", ptype=str)
        self.nodes: dict[str, BaseNode] = {}
        self._add_data()
        self._add_training()
        gates = self._add_gates()
        self._add_release(gates)
        if spec.evaluate.tfma_rows:
            # Last: it decides nothing, and beside the serving check it would take cores from the latency measured there.
            last = next(reversed(self.nodes.values()))
            analysed = {"classes", "metrics", "slices", "min_slice_rows", "tfma_rows"}
            self.nodes["tfma"] = ModelAnalysis(
                evaluation=self._out("evaluate", "evaluation"), evaluate=spec.evaluate.model_dump_json(include=analysed)
            )
            self.nodes["tfma"].add_upstream_node(last)

    def _out(self, node: str, output: str) -> BaseChannel:
        return self.nodes[node].outputs[output]

    def _of_day(self, *names: str) -> dict[str, BaseChannel]:
        """Inputs that many nodes share."""
        sources = {
            "examples": ("examples", "examples"),
            "transformed_examples": ("transform", "transformed_examples"),
            "transform_graph": ("transform", "transform_graph"),
            "schema": ("schema", "schema"),
            "champion_model": ("champion", "model"),
            "model_run": ("train", "model_run"),
        }
        return {name: self._out(*sources[name]) for name in names}

    def _add_data(self) -> None:
        spec = self._spec
        rows_limit = RuntimeParameter(name="rows_limit", ptype=int, default=0)
        # Of a single day a forced run makes the same rows, so that it finds them in the cache.
        force = RuntimeParameter(name="force", ptype=int, default=0) if is_window(spec.data.source) else 0
        self.nodes["contract"] = Contract(
            pipeline=spec.name, data=self._judged, day=self._day, rows_limit=rows_limit, force=force
        )
        self.nodes["examples"] = Examples(rows=self._out("contract", "rows"), data=spec.data.model_dump_json())
        self.nodes["statistics"] = Statistics(examples=self._out("examples", "examples"))
        self.nodes["schema"] = tfx.components.ImportSchemaGen(schema_file=f"pipelines/{spec.name}/schema.pbtxt")
        self.nodes["champion"] = Champion(pipeline=spec.name, day=self._day)
        self.nodes["anomalies"] = Anomalies(
            statistics=self._out("statistics", "statistics"),
            schema=self._out("schema", "schema"),
            champion_statistics=self._out("champion", "statistics"),
            drift=spec.drift.model_dump_json(),
        )
        self.nodes["transform"] = Transform(
            **self._of_day("examples", "schema"),
            preprocessing_fn=f"pipelines.{spec.name}.features.preprocessing_fn",
            sample=self._out("examples", "sample") if self._weight else None,
            weight=self._weight,
        )
        # Anomalies refuse a day before it costs a training.
        self.nodes["transform"].add_upstream_node(self.nodes["anomalies"])

    def _add_training(self) -> None:
        """Leaves the model that the gates judge in `self._model`."""
        spec = self._spec
        if spec.worth and spec.worth.freshness:
            self._add_freshness(spec.worth)
        self.nodes["train"] = Train(
            examples=self._out("transform", "transformed_examples"),
            **self._of_day("transform_graph", "schema"),
            pipeline=spec.name,
            train=spec.train.model_dump_json(),
            label=self._label,
            weight=self._weight,
        )
        self._model = self._out("train", "model")
        if spec.baselines.enabled:
            self._add_baselines()
        if spec.compress:
            self._add_compress(spec.compress)
        for learner in ("train", "baselines"):
            if "freshness" in self.nodes and learner in self.nodes:
                self.nodes[learner].add_upstream_node(self.nodes["freshness"])

    def _add_freshness(self, worth: WorthSettings) -> None:
        spec = self._spec
        self.nodes["freshness"] = Freshness(
            **self._of_day("examples", "schema", "transform_graph"),
            anomalies_report=self._out("anomalies", "report"),
            pipeline=spec.name,
            day=self._day,
            worth=worth.model_dump_json(),
            drift=spec.drift.model_dump_json(),
            label=self._label,
            unit=self._unit,
        )

    def _add_baselines(self) -> None:
        spec = self._spec
        self.nodes["baselines"] = LearnBaselines(
            examples=self._out("transform", "transformed_examples"),
            **self._of_day("transform_graph", "schema"),
            label=self._label,
            weight=self._weight,
            seed=spec.train.seed,
            max_rows=spec.baselines.max_rows,
            budget_secs=60 * spec.train.budget_minutes * spec.baselines.budget_share,
        )
        self.nodes["choose"] = Choose(
            **self._of_day("examples", "schema", "transform_graph", "model_run"),
            model=self._model,
            learned=self._out("baselines", "baselines"),
            baselines=spec.baselines.model_dump_json(include={"pin", "when_worse", "metric", "tolerance"}),
            label=self._label,
            unit=self._unit,
        )
        self._model = self._out("choose", "chosen")

    def _add_compress(self, compress: CompressSettings) -> None:
        spec = self._spec
        self.nodes["compress"] = Compress(
            trained_model=self._model,
            **self._of_day("examples", "transformed_examples", "transform_graph", "schema"),
            pipeline=spec.name,
            compress=compress.model_dump_json(),
            train=spec.train.model_dump_json(),
            slices=json.dumps(spec.evaluate.slices),
            label=self._label,
            weight=self._weight,
        )
        self._model = self._out("compress", "model")

    def _add_gates(self) -> list[str]:
        """Their names, the cheapest first: a candidate that one gate refuses costs no later one."""
        spec = self._spec
        gates: dict[str, BaseNode] = {
            "learning": Learning(
                model=self._model,
                **self._of_day("examples", "transformed_examples", "transform_graph", "schema", "model_run"),
                learning=spec.learning.model_dump_json(),
                label=self._label,
                unit=self._unit,
                classes=spec.evaluate.classes,
            ),
            "evaluate": Evaluate(
                model=self._model,
                **self._of_day("examples", "champion_model", "schema", "transform_graph"),
                evaluate=spec.evaluate.model_dump_json(exclude={"tfma_rows"}),
                label=self._label,
                unit=self._unit,
            ),
            "serving_check": ServingCheck(
                model=self._model,
                **self._of_day("examples", "schema"),
                serving=spec.serving.model_dump_json(),
                label=self._label,
            ),
        }
        if spec.kpis and spec.policy:
            gates["business"] = Business(
                rows=self._out("contract", "rows"),
                model=self._model,
                **self._of_day("champion_model", "schema", "transform_graph"),
                kpis=json.dumps([kpi.model_dump(mode="json") for kpi in spec.kpis]),
                policy=spec.policy.model_dump_json(),
                data=self._judged,
                day=self._day,
            )
        if spec.worth:
            business = gates["business"].outputs if "business" in gates else {}
            gates["worth"] = Worth(
                model=self._model,
                champion_model=self._out("champion", "model"),
                business_report=business.get("report"),
                business_evaluation=business.get("evaluation"),
                worth=spec.worth.model_dump_json(exclude={"freshness"}),
            )
        for before, after in pairwise(gates.values()):
            after.add_upstream_node(before)
        self.nodes |= gates
        return ["choose", *gates] if "choose" in self.nodes else list(gates)

    def _add_release(self, gates: list[str]) -> None:
        spec = self._spec
        self.nodes["register"] = Register(
            model=self._model,
            reports=union([self._out(gate, "report") for gate in gates]),
            statistics=self._out("statistics", "statistics"),
            **self._of_day("examples", "schema", "transform_graph", "model_run"),
            pipeline=spec.name,
            day=self._day,
            label=self._label,
            rollout=_rollout_plan(spec),
        )
        if spec.worth:
            self.nodes["costs"] = Costs(
                registration=self._out("register", "registration"),
                benefit=self._out("worth", "benefit"),
                pipeline=spec.name,
                day=self._day,
                worth=spec.worth.model_dump_json(exclude={"freshness"}),
            )


def _rollout_plan(spec: Spec) -> str | None:
    plan = plan_of(spec)
    return plan.model_dump_json() if plan else None
