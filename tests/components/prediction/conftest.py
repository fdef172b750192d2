"""A small model in a package as the registry holds it, and its rows as files."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.protobuf import text_format

from components.prediction.question import Question, ask
from components.prediction.running import Summary, run
from components.registry.package import SAVED_MODEL, SCHEMA
from pipelines.spec import Data
from pipelines.storage import matching
from tests.components.serving.conftest import engine, model  # noqa: F401
from tests.components.training.conftest import LABEL, Transformed, transformed  # noqa: F401

BEAM_ARGS = [
    "--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner",
    "--direct_running_mode=in_memory",
    "--row_group_threads=2",
]
DATA = Data.model_validate(
    {
        "source": {"format": "parquet", "path": "{day}/*.parquet"},
        "columns": {
            "id": "int",
            "item": "string",
            "price": "float",
            "brand": "string",
            "views": "ints",
            "clicked": "int",
        },
        "label": LABEL,
        "split_key": "id",
    }
)
Predict = Callable[..., Summary]


@pytest.fixture(scope="session")
def package(model: Path, transformed: Transformed, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    folder = tmp_path_factory.mktemp("package")
    shutil.copytree(model, folder / SAVED_MODEL)
    (folder / SCHEMA).write_text(text_format.MessageToString(transformed.schema))
    return folder


@pytest.fixture(scope="session")
def rows(transformed: Transformed) -> pa.Table:  # noqa: F811
    """200 rows without a label, each with an id; some have no brand, some no views."""
    raw = transformed.raw[:200]
    return pa.table(
        {
            "id": list(range(200)),
            "item": [row["item"][0].decode() for row in raw],
            "price": [row["price"] for row in raw],
            "brand": [row["brand"][0].decode() if row["brand"] else None for row in raw],
            "views": [row["views"] for row in raw],
            "note": ["beside the model"] * 200,
        }
    )


@pytest.fixture
def input_file(rows: pa.Table, tmp_path: Path) -> Path:
    """Four row groups of 50 rows."""
    path = tmp_path / "input" / "rows.parquet"
    path.parent.mkdir()
    pq.write_table(rows, path, row_group_size=50)
    return path


@pytest.fixture
def make_question(package: Path, tmp_path: Path) -> Callable[..., Question]:
    def make(**changes: Any) -> Question:
        given: dict[str, Any] = {
            "version": "3",
            "format": "parquet",
            "keep": ("id",),
            "output": str(tmp_path / "output"),
        }
        return ask(changes.pop("data", DATA), package, **(given | changes))

    return make


@pytest.fixture
def predict(make_question: Callable[..., Question]) -> Predict:
    """`predict(path, keep=None, max_quarantined=0)`: as the command does."""

    def run_it(path: Path | str, *, max_quarantined: float = 0.0, replace: bool = False, **changes: Any) -> Summary:
        question = make_question(**changes)
        return run(
            question,
            matching(str(path)),
            beam_args=BEAM_ARGS,
            max_quarantined=max_quarantined,
            replace=replace,
            tell=lambda line: None,
        )

    return run_it


def read(folder: Path) -> pa.Table:
    return pa.concat_tables(pq.read_table(str(path)) for path in sorted(folder.glob("*.parquet")))
