"""How a rollout names versions: a number of the model itself, or `recipe@number` of the other recipe of an experiment.

recipe_version("shop_wide", "7")      # "shop_wide@7"
split_version("shop", "shop_wide@7")  # ("shop_wide", "7")
"""

from __future__ import annotations


def recipe_version(recipe: str, number: str) -> str:
    return f"{recipe}@{number}"


def split_version(model: str, version: str) -> tuple[str, str]:
    """The registered model, and its version's number."""
    recipe, at, number = version.rpartition("@")
    return (recipe if at else model), number
