"""Why a node was taken from the cache, or was not.

    explain_miss(now, before)   # 'missed because parameter train.epochs changed 1 -> 2'
    explain_hit(before)         # 'hit because inputs, parameters and code equal execution 17 (shop-2026-01-05-1a2b3c4d)'

Works on plain values, so that it can be read and tested without TFX.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipelines.errors import bounded

_SHOWN_CHARACTERS = 60
STAMP = "stamp_"


@dataclass(frozen=True)
class Execution:
    """What the cache key of one execution was made of."""

    id: int
    run_id: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Artifact ids by input."""

    def __str__(self) -> str:
        return f"execution {self.id}" + (f" ({self.run_id})" if self.run_id else "")


def explain_hit(before: Execution) -> str:
    return f"hit because inputs, parameters and code equal {before}"


def explain_miss(now: Execution, before: Execution | None, *, skipped: bool = False, caching: bool = True) -> str:
    """`before` is the newest earlier success of the same node."""
    if not caching:
        return "missed because caching is off for this node"
    if skipped:
        return "missed because the run asked to skip the cache"
    if before is None:
        return "missed because no earlier execution of this node succeeded"
    changes = [*_changed_parameters(now, before), *_changed_inputs(now, before)]
    if changes:
        return f"missed because {bounded(changes)}, compared with {before}"
    return (
        f"missed although inputs, parameters and code equal {before}: its artifacts are gone, "
        "or executor or Beam options changed"
    )


def _changed_inputs(now: Execution, before: Execution) -> list[str]:
    changes = []
    for name in sorted(now.inputs.keys() | before.inputs.keys()):
        old, new = before.inputs.get(name, ()), now.inputs.get(name, ())
        if sorted(old) != sorted(new):
            changes.append(f"input {name} changed {_artifacts(old)} -> {_artifacts(new)}")
    return changes


def _artifacts(ids: tuple[int, ...]) -> str:
    return "+".join(f"artifact {number}" for number in ids) or "none"


def _changed_parameters(now: Execution, before: Execution) -> list[str]:
    changes = []
    # Executors add properties of their own, so one that is only in the earlier execution says nothing.
    for name, value in sorted(now.parameters.items()):
        old = before.parameters.get(name)
        if old == value:
            continue
        if name == f"{STAMP}code":
            changes += _changed_code(str(old or ""), str(value))
        elif name.startswith(STAMP):
            changes.append(f"{name.removeprefix(STAMP)} changed")
        else:
            changes += _changed_value(name, old, value)
    return changes


def _changed_code(old: str, new: str) -> list[str]:
    """Stamps list one `module digest` per line."""
    before, after = set(old.splitlines()), set(new.splitlines())
    modules = sorted({line.split(" ")[0] for line in before ^ after})
    return [f"code of {module} changed" for module in modules]


def _changed_value(name: str, old: Any, new: Any) -> list[str]:
    """A parameter that holds a JSON object is compared part by part."""
    old_parts, new_parts = _parts(old), _parts(new)
    if old_parts is None or new_parts is None:
        return [f"parameter {name} {_change(old, new)}"]
    return [
        f"parameter {name}.{key} {_change(old_parts.get(key), new_parts.get(key))}"
        for key in sorted(old_parts.keys() | new_parts.keys())
        if old_parts.get(key) != new_parts.get(key)
    ]


def _parts(value: Any) -> dict[str, Any] | None:
    if not isinstance(value, str) or not value.startswith("{"):
        return None
    try:
        parsed = json.loads(value)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) else None


def _change(old: Any, new: Any) -> str:
    return f"changed {_short(old)} -> {_short(new)}" if old is not None else f"was added: {_short(new)}"


def _short(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 3] + "..."
