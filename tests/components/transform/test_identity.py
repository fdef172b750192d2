from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from components.transform import analysis
from components.transform.analysis import Analysis
from components.transform.tracing import trace
from tests.components.days.features import SCHEMA, preprocessing_fn


class _Stop(Exception):
    pass


def first_phase(folder: Path, function: Callable[..., Any]) -> str:
    folder.mkdir()
    found: list[str] = []

    def run(kernel: Any, identity: Callable[[], str]) -> Any:
        found.append(identity())
        raise _Stop

    with pytest.raises(_Stop):
        Analysis(trace(function, text_format.Parse(SCHEMA, schema_pb2.Schema()), folder, place="")).model(run)
    return found[0]


def other_scale(inputs: dict[str, Any]) -> dict[str, Any]:
    return preprocessing_fn(inputs | {"price": inputs["price"] * 2})


def test_a_phase_is_known_by_its_graph_and_not_by_where_or_in_which_order_it_was_traced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = first_phase(tmp_path / "one", preprocessing_fn)
    real = analysis.input_config

    def reversed_config(*arguments: Any) -> Any:
        """As in another process, where a map of a protobuf has another order."""
        config = copy.copy(real(*arguments))
        config.tensor_representations = dict(reversed(list(config.tensor_representations.items())))
        return config

    monkeypatch.setattr(analysis, "input_config", reversed_config)
    assert first_phase(tmp_path / "two", preprocessing_fn) == one
    assert first_phase(tmp_path / "other", other_scale) != one
