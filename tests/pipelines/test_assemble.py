from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from pipelines.assemble import assemble
from pipelines.nodes import NODES, node_code
from pipelines.settings import Settings
from pipelines.spec import Spec, load_spec

NO_RESULT = ("components.artifacts", "components.decision", "components.tracking", "components.processes")
"""Declarations, what is told to others, and how processes end: what a node makes does not depend on their code."""
TELLERS = {"contract", "anomalies", "champion", "register", "schema", "costs", "worth", "freshness"}
"""They ask services, or only compare numbers."""


@pytest.mark.parametrize("node", sorted(NODES.keys() - TELLERS))
def test_a_node_runs_again_when_any_module_it_uses_has_changed(node: str) -> None:
    declared = node_code("shop", node)
    used = reachable(module for module in declared if module.startswith("components."))
    covered = {module for module in used if any(f"{module}.".startswith(f"{prefix}.") for prefix in declared)}
    assert used == covered


def reachable(modules: Iterator[str]) -> set[str]:
    """Every module of `components` that these import, and those that they import."""
    found: set[str] = set()
    waiting = [path for module in modules for path in files(module)]
    seen: set[Path] = set()
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        for module in imports(path):
            if module.startswith(NO_RESULT):
                continue
            found.add(module)
            waiting.append(files(module)[0])
    return found


def files(module: str) -> list[Path]:
    spec = importlib.util.find_spec(module)
    assert spec is not None and spec.origin is not None, module
    path = Path(spec.origin)
    return [path, *sorted(path.parent.rglob("*.py"))] if path.name == "__init__.py" else [path]


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("components"):
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if is_module(inner) else str(node.module)


def is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def nodes_of(**changes: Any) -> dict[str, Any]:
    spec = Spec.model_validate(load_spec("shop").model_dump() | changes)
    pipeline, described = assemble(spec, Settings.from_environment())
    nodes = {component.id: component for component in pipeline.components}
    assert described.keys() == nodes.keys()
    return nodes


OFF: dict[str, Any] = {"baselines": {"enabled": False}, "compress": None}
INT8 = {"variants": ["int8"], "max_loss": {"auc": 0.001}}


@pytest.mark.parametrize(
    ("changes", "last"),
    [
        ({"compress": INT8}, ("compress", "model")),
        ({"compress": None}, ("choose", "chosen")),
        ({**OFF, "compress": INT8}, ("compress", "model")),
        (OFF, ("train", "model")),
    ],
)
def test_gates_and_registry_get_the_last_model(changes: dict[str, Any], last: tuple[str, str]) -> None:
    nodes = nodes_of(**changes)
    model = nodes[last[0]].outputs[last[1]]
    for node in ("learning", "evaluate", "serving_check", "business", "register"):
        assert nodes[node].inputs["model"] is model, node


def test_each_step_takes_the_model_of_the_one_before() -> None:
    nodes = nodes_of(compress=INT8)
    assert nodes["choose"].inputs["model"] is nodes["train"].outputs["model"]
    assert nodes["choose"].inputs["learned"] is nodes["baselines"].outputs["baselines"]
    assert nodes["compress"].inputs["trained_model"] is nodes["choose"].outputs["chosen"]


def test_what_the_spec_does_not_ask_for_is_no_node() -> None:
    nodes = nodes_of(**OFF, kpis=[], policy=None, rollout=None, worth=None)
    assert not {"baselines", "choose", "compress", "business", "worth", "costs", "freshness"} & nodes.keys()


def test_gates_run_one_after_the_other_and_the_registry_hears_all() -> None:
    nodes = nodes_of()
    gates = ["learning", "evaluate", "serving_check", "business", "worth"]
    for before, after in pairwise(gates):
        assert nodes[before] in nodes[after].upstream_nodes
    heard = {channel.producer_component_id for channel in nodes["register"].inputs["reports"].channels}
    assert heard == {"choose", *gates}


def test_the_second_opinion_is_last_and_nothing_waits_for_it() -> None:
    nodes = nodes_of()
    assert list(nodes)[-1] == "tfma" and not nodes["tfma"].downstream_nodes
    assert nodes["tfma"].upstream_nodes == {nodes["evaluate"], nodes["costs"]}
    none = nodes_of(evaluate=load_spec("shop").evaluate.model_dump() | {"tfma_rows": 0})
    assert "tfma" not in none
    assert none["evaluate"].exec_properties == nodes["evaluate"].exec_properties


def test_a_day_that_is_not_worth_a_training_learns_nothing() -> None:
    nodes = nodes_of()
    assert nodes["freshness"] in nodes["train"].upstream_nodes
    assert nodes["freshness"] in nodes["baselines"].upstream_nodes


def test_a_pin_leaves_what_is_learned_in_the_cache() -> None:
    pinned, free = nodes_of(), nodes_of(baselines={"pin": None, "tolerance": 0.01, "when_worse": "refuse"})
    assert pinned["baselines"].exec_properties == free["baselines"].exec_properties
    assert pinned["choose"].exec_properties != free["choose"].exec_properties
