from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa

from components.examples.records import row_groups, to_lists, write_shard
from components.serving_check.golden import choose
from tests.components.training.conftest import COLUMNS, LABEL, Transformed


def test_rows_are_spread_over_the_split_and_always_the_same(
    model: Path, transformed: Transformed, examples: Path
) -> None:
    groups = row_groups(examples, "eval")
    chosen = [choose(groups, model=model, schema=transformed.schema, label=LABEL, count=20) for _ in range(2)]
    assert chosen[0] == chosen[1] and chosen[0] is not None
    prices = (
        [row["price"][0] for row in transformed.raw]
        if isinstance(transformed.raw[0]["price"], list)
        else [row["price"] for row in transformed.raw]
    )
    places = [prices.index(row["price"][0]) for row in chosen[0].instances]
    assert len(places) == 20 and min(places) == 0 and max(places) == len(prices) - 1
    assert all(
        "brand" not in row or row["brand"] in ([], ["brand 1"], ["brand 2"], ["brand 0"]) for row in chosen[0].instances
    )


def test_what_json_cannot_hold(model: Path, transformed: Transformed, tmp_path: Path) -> None:
    first, second, third = (dict(row) for row in transformed.raw[:3])
    first["price"], second["brand"] = float("nan"), [b"\xff"]
    batch = to_lists(pa.RecordBatch.from_pylist([first, second, third]), COLUMNS)
    write_shard(batch, tmp_path / "Split-eval", index=0, count=1)
    groups = row_groups(tmp_path, "eval")
    found = choose(groups, model=model, schema=transformed.schema, label=LABEL, count=3)
    assert found is not None
    assert (found.skipped, len(found.predictions)) == (1, 2)
    assert found.instances[0]["brand"] == [{"b64": "/w=="}]
    found.write(tmp_path)
    assert json.loads((tmp_path / "golden.json").read_text())["predictions"] == list(found.predictions)
