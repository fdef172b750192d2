"""The manifest: what a compiled pipeline tells the world outside the ML environment.

    from pipelines.manifest import read_manifest

    manifest = read_manifest(settings.manifests / "shop.json")
    [node.id for node in manifest.nodes], manifest.schedule.cron

DAG files read this JSON and nothing else, so parsing costs milliseconds. Compiling twice writes the same bytes.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError, model_validator

from pipelines.errors import SpecError, bounded
from pipelines.spec import Budget, Frozen, Schedule

MANIFEST_VERSION = 1


class Node(Frozen):
    """One node of the compiled pipeline: one Airflow task, one MLMD execution per try."""

    id: str
    stage: str
    """The task group it is shown in."""
    description: str = ""
    upstream: tuple[str, ...] = ()
    slots: int = 1
    timeout_secs: float = 7200
    code: tuple[str, ...] = ()
    """Importable modules or packages whose source is part of the node's cache key."""
    stamps: dict[str, str] = {}
    """Further parts of the cache key, computed before the node runs: name to `module:function`, called with the
    manifest and the run's parameters, returning a string (the raw files' fingerprint, the champion's version)."""
    caching: bool = True
    gate: bool = False
    """It publishes a gate report, which can end the day."""


class Manifest(Frozen):
    version: int = MANIFEST_VERSION
    pipeline: str
    description: str = ""
    owner: str = "daybreak"
    simulated: bool = False
    ir: str
    """File name of the TFX intermediate representation (JSON), beside the manifest."""
    ir_digest: str
    spec: dict[str, Any] | None = None
    """The spec it was compiled from; none for a plain TFX pipeline."""
    schedule: Schedule | None = None
    budget: Budget = Budget()
    nodes: tuple[Node, ...]

    @model_validator(mode="after")
    def _edges_exist(self) -> Self:
        if self.version != MANIFEST_VERSION:
            raise ValueError(f"`version` must be {MANIFEST_VERSION}; compile the pipeline again")
        seen: set[str] = set()
        for node in self.nodes:
            if unknown := sorted(set(node.upstream) - seen):
                raise ValueError(f"node {node.id!r} comes before its upstream {bounded(unknown)}, or it does not exist")
            if node.id in seen:
                raise ValueError(f"node {node.id!r} appears twice")
            seen.add(node.id)
        return self

    def node(self, node_id: str) -> Node:
        for node in self.nodes:
            if node.id == node_id:
                return node
        known = bounded(node.id for node in self.nodes)
        raise SpecError(
            f"`node` must be one of {known}. Received: node={node_id!r}",
            fix=f"choose one of those, or run `daybreak compile {self.pipeline}` after adding it",
            place=self.pipeline,
        )


def read_manifest(path: Path) -> Manifest:
    """Reads a manifest; raises `SpecError` when it is missing or not a manifest of this version."""
    try:
        return Manifest.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SpecError(f"no manifest at {path}", fix=f"run `daybreak compile {path.stem}`", place=path.stem) from error
    except ValidationError as error:
        first = error.errors()[0]
        raise SpecError(
            f"not a manifest of version {MANIFEST_VERSION}: `{'.'.join(map(str, first['loc']))}` {first['msg']}",
            fix=f"run `daybreak compile {path.stem}`",
            place=str(path),
        ) from error


def write_manifest(manifest: Manifest, path: Path) -> None:
    """Writes atomically, with sorted keys, so that equal manifests are equal files."""
    text = json.dumps(manifest.model_dump(mode="json"), indent=1, sort_keys=True) + "\n"
    write_atomically(path, text.encode())


def write_atomically(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Replaces `path` with `content`: a reader sees the old file or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
