from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.assemble import _code, _components
from pipelines.spec import load_spec

NO_RESULT = {"components.artifacts", "components.decision.report"}
"""Declarations: what a node makes does not depend on their code."""


@pytest.mark.parametrize("node", ["examples", "statistics", "transform"])
def test_a_data_stage_runs_again_when_any_module_it_uses_has_changed(node: str) -> None:
    declared = _code("shop")[node]
    used = reachable(module for module in declared if module.startswith("components."))
    covered = {module for module in used if any(f"{module}.".startswith(f"{prefix}.") for prefix in declared)}
    assert used - covered <= NO_RESULT


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


def test_the_chosen_variant_is_what_gates_and_registry_get() -> None:
    spec = load_spec("shop")
    assert spec.compress is not None
    with_node = {component.id: component for component in _components(spec)}
    for node in ("evaluate", "register"):
        assert with_node[node].inputs["model"].producer_component_id == "compress"
    without = {component.id: component for component in _components(spec.model_copy(update={"compress": None}))}
    assert "compress" not in without
    assert without["register"].inputs["model"].producer_component_id == "train"
