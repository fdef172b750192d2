"""The winner of an experiment gets a number among the model's own versions: a copy in the registry, made once.

adopt(connect, "shop", "shop_wide@7")      # "12"
adopt(connect, "shop", "12")               # "12"
"""

from __future__ import annotations

from collections.abc import Callable

from components.registry.versions import Registry
from components.rollout.versions import recipe_version, split_version
from pipelines.errors import TransientError, one_line

COPY_OF = "daybreak.copy_of"


def adopt(connect: Callable[[str], Registry], model: str, version: str) -> str:
    """Raises `TransientError` when the registry does not answer; the promotion waits for it."""
    from mlflow.exceptions import MlflowException

    recipe, number = split_version(model, version)
    if recipe == model:
        return number
    try:
        return _copy(connect, model, recipe=recipe, number=number)
    except MlflowException as error:
        raise TransientError(
            f"{version} cannot be copied to {model}: {one_line(error)}",
            fix="see MLflow's log; the next tick tries again",
        ) from error


def _copy(connect: Callable[[str], Registry], model: str, *, recipe: str, number: str) -> str:
    version = recipe_version(recipe, number)
    registry, source = connect(model), connect(recipe).version(number)
    known = registry.client.search_model_versions(f"name = '{model}' and tags.`{COPY_OF}` = '{version}'")
    if known:
        return str(min(known, key=lambda found: int(found.version)).version)
    made = registry.client.create_model_version(
        model,
        source=source.source or "",
        run_id=source.run_id,
        model_id=source.model_id,
        tags={**source.tags, COPY_OF: version},
        description=f"Copy of {recipe} version {number}, which won an experiment.",
    )
    return str(made.version)
