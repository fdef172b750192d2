"""From `pipelines/<name>/pipeline.yaml` to a `Spec`, or to one error that holds all problems."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from pipelines.errors import SpecError, bounded
from pipelines.settings import REPOSITORY
from pipelines.spec.base import CREDENTIALS
from pipelines.spec.whole import Spec


def pipeline_folder(name: str) -> Path:
    """The folder of pipeline `name`: the importable package `pipelines.<name>`."""
    try:
        found = importlib.util.find_spec(f"pipelines.{name}")
    except (ImportError, ValueError):
        found = None
    places = list(found.submodule_search_locations or []) if found else []
    if not places or not (Path(places[0]) / "pipeline.yaml").exists():
        known = sorted(path.parent.name for path in REPOSITORY.glob("pipelines/*/pipeline.yaml"))
        raise SpecError(
            f"`name` must be a folder under pipelines/ with a pipeline.yaml: {bounded(known)}. Received: name={name!r}",
            fix="correct the name, or create pipelines/<name>/pipeline.yaml",
        )
    return Path(places[0])


def load_spec(name: str, *, changes: Sequence[str] = ()) -> Spec:
    """Reads `pipelines/<name>/pipeline.yaml`; `changes` are as of `parse_spec`."""
    path = pipeline_folder(name) / "pipeline.yaml"
    spec = parse_spec(path.read_text(encoding="utf-8"), file=str(path), changes=changes)
    if spec.name != name:
        raise SpecError(
            f"`name` must equal the folder's name {name!r}. Received: name={spec.name!r}",
            fix=f"write `name: {name}`",
            place=str(path),
        )
    return spec


def parse_spec(text: str, *, file: str = "pipeline.yaml", changes: Sequence[str] = ()) -> Spec:
    """Parses YAML into a spec; raises `SpecError` with all problems at once.

    `changes` are made before: `train.epochs=8`, `evaluate.bounds.0.min=0.7`, with YAML on the right.
    """
    try:
        raw = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SpecError(f"not valid YAML: {error}", fix="correct the syntax at that line", place=file) from error
    if not isinstance(raw, dict):
        raise SpecError(
            f"a spec is a mapping with `name`, `data` and `schedule`. Received: {type(raw).__name__}",
            fix="start from an existing folder, e.g. pipelines/taxi",
            place=file,
        )
    for change in changes:
        _change(raw, change)
    try:
        return Spec.model_validate(raw)
    except ValidationError as error:
        problems = [_problem(dict(item)) for item in error.errors()]
        raise SpecError(
            f"{len(problems)} problem(s)\n  - " + "\n  - ".join(problems),
            fix="correct the lines above, then run `daybreak check` again",
            place=file,
        ) from error


def _change(raw: dict[str, Any], change: str) -> None:
    """Sets what the dotted path names, and makes the mappings on the way to it."""
    path, equals, text = change.partition("=")
    *parents, last = path.split(".")
    try:
        if not equals:
            raise ValueError("there is no `=`")
        inner: Any = raw
        for name in parents:
            inner = inner[int(name)] if isinstance(inner, list) else inner.setdefault(name, {})
        inner[int(last) if isinstance(inner, list) else last] = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, TypeError, IndexError, AttributeError) as error:
        raise SpecError(
            f"a change is a path of the spec, `=` and a value in YAML. Received: {change!r}: {error}",
            fix="write it like --set train.epochs=8",
        ) from error


def _problem(item: dict[str, Any]) -> str:
    path = ".".join(str(part) for part in item["loc"]) or "(whole spec)"
    message = str(item["msg"]).removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        message = "no such setting; remove it or correct its spelling"
    received = CREDENTIALS.sub("://***@", repr(item.get("input")))
    received = received if len(received) <= 80 else received[:77] + "..."
    return f"`{path}`: {message}. Received: {received}"
