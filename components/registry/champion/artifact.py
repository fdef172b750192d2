"""What the champion node's artifacts say of the model they hold."""

from __future__ import annotations

from collections.abc import Sequence

from tfx.types import Artifact


def champion_name(artifacts: Sequence[Artifact]) -> str:
    """`champion version 3`, or "" when there is none."""
    if not artifacts or artifacts[0].get_string_custom_property("absent") == "yes":
        return ""
    return f"champion version {artifacts[0].get_string_custom_property('version')}".removesuffix(" version ")
