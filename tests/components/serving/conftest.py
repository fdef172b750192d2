"""A small model as training exports it: two required columns, and two of any number of values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from components.serving.engine import TensorFlowEngine
from tests.components.serving.models import export
from tests.components.training.conftest import LABEL, Transformed, transformed  # noqa: F401


@pytest.fixture(scope="session")
def model(transformed: Transformed, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    return export(transformed, tmp_path_factory.mktemp("model") / "Format-Serving")


@pytest.fixture(scope="session")
def engine(model: Path) -> TensorFlowEngine:
    return TensorFlowEngine(model)


@pytest.fixture(scope="session")
def rows(transformed: Transformed) -> list[dict[str, Any]]:  # noqa: F811
    """Of the eval split, as a client sends them."""
    raw = [{name: value for name, value in row.items() if name != LABEL} for row in transformed.raw[:40]]
    found: list[dict[str, Any]] = json.loads(json.dumps(raw, default=bytes.decode))
    return found
