"""`daybreak costs NAME`: what each model version cost, and what it was expected to bring."""

from __future__ import annotations

from typing import Annotated

import typer

from pipelines.errors import SpecError
from pipelines.manifest import read_manifest
from pipelines.settings import Settings
from pipelines.spec import Worth


def costs(name: Annotated[str, typer.Argument(help="A pipeline.")]) -> None:
    """What each model version cost and was expected to bring, and the days that left none."""
    from components.registry.versions import Registry
    from components.worth.listing import read_lines, render, sum_of_runs

    settings = Settings.from_environment()
    spec = read_manifest(settings.manifests / f"{name}.json").spec
    if not spec or not spec.get("worth"):
        raise SpecError(
            f"`worth` says what a retrain costs. Received: pipeline {name} without it",
            fix=f"add it to pipelines/{name}/pipeline.yaml (docs/gates/worth.md), then `daybreak compile {name}`",
        )
    prices = Worth.model_validate(spec["worth"]).prices
    lines = read_lines(Registry.connect(settings, name), settings, name, prices)
    print(render(lines, spent_usd=sum_of_runs(settings, name, prices)), end="")
