"""What a user of DuckDB would write for the same statistics, vocabularies and features."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import duckdb

from tests.benchmarks.data_plane.columns import CATEGORIES, LABEL, NUMBERS, SPLITS, USER, VOCABULARY_LIMIT
from tests.benchmarks.data_plane.log import parquet_file
from tests.benchmarks.data_plane.sides import Work

TOP_VALUES = 1000
TRAIN = f"{USER} % {sum(SPLITS.values())} < {SPLITS['train']}"


def prepare(stage: str, work: Work) -> Callable[[], None]:
    write = {"statistics": write_statistics, "transform": write_transformed}[stage]
    return partial(write, parquet_file(work.data), work.folder / stage, cores=work.cores)


def _connect(day: Path, cores: int) -> duckdb.DuckDBPyConnection:
    database = duckdb.connect()
    database.execute(f"SET threads = {cores}")
    database.execute(f"CREATE VIEW log AS SELECT *, {TRAIN} AS train FROM read_parquet('{day}')")
    return database


def write_statistics(day: Path, folder: Path, *, cores: int = 1) -> None:
    """`statistics.json`, as the Polars side writes it."""
    database = _connect(day, cores)
    numbers = ", ".join(map(_number, (*NUMBERS, LABEL)))
    found = {
        "numbers": _dicts(database.execute(f"SELECT train, {numbers} FROM log GROUP BY train ORDER BY train")),
        "categories": {name: _dicts(database.execute(_category(name))) for name in CATEGORIES},
    }
    (folder / "statistics.json").write_text(json.dumps(found))


def _number(name: str) -> str:
    return f"""{{count: count({name}), missing: count(*) - count({name}), mean: avg({name}), std: stddev_pop({name}),
        zeros: count(*) FILTER ({name} = 0), min: min({name}), max: max({name}), median: median({name}),
        deciles: quantile_disc({name}, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]),
        histogram: histogram({name}, equi_width_bins(-1, 1000000, 10, false))}} AS {name}"""


def _category(name: str) -> str:
    return f"""WITH counts AS (SELECT train, {name} AS token, count(*) AS n FROM log GROUP BY ALL)
        SELECT train, sum(n) FILTER (token IS NULL) AS missing, count(token) AS distinct_values,
            sum(strlen(token) * n) / sum(n) FILTER (token IS NOT NULL) AS mean_length,
            max({{n: n, token: token}}, {TOP_VALUES}) FILTER (token IS NOT NULL) AS top
        FROM counts GROUP BY train ORDER BY train"""


def _dicts(cursor: duckdb.DuckDBPyConnection) -> list[dict[str, object]]:
    names = [column[0] for column in cursor.description or []]
    return [dict(zip(names, map(_plain, row), strict=True)) for row in cursor.fetchall()]


def _plain(value: object) -> object:
    """JSON has no keys but text, and no numbers of any size."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | bool | float | None) else int(str(value))


def write_transformed(day: Path, folder: Path, *, cores: int = 1) -> None:
    """Vocabulary files, and `train.parquet` and `eval.parquet`."""
    database = _connect(day, cores)
    sizes = {name: _write_vocabulary(database, name, folder) for name in CATEGORIES}
    moments = ", ".join(
        f"avg(coalesce({name}, 0)) AS {name}_mean, stddev_pop(coalesce({name}, 0)) AS {name}_std" for name in NUMBERS
    )
    database.execute(f"CREATE TABLE moments AS SELECT {moments} FROM log WHERE train")
    scores = [f"((coalesce(log.{name}, 0) - {name}_mean) / {name}_std)::FLOAT AS {name}" for name in NUMBERS]
    ids = [f"coalesce(v_{name}.id, {size}) AS {name}" for name, size in sizes.items()]
    joins = " ".join(f"LEFT JOIN v_{name} ON log.{name} = v_{name}.token" for name in CATEGORIES)
    select = f"SELECT {', '.join([*scores, *ids, LABEL])} FROM log CROSS JOIN moments {joins}"
    for split, where in {"train": "train", "eval": "NOT train"}.items():
        target = f"'{folder / split}.parquet' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)"
        database.execute(f"COPY ({select} WHERE {where}) TO {target}")


def _write_vocabulary(database: duckdb.DuckDBPyConnection, name: str, folder: Path) -> int:
    """In TFT's order; returns the number of tokens."""
    database.execute(
        f"""CREATE TABLE v_{name} AS SELECT token, row_number() OVER (ORDER BY n DESC, token DESC) - 1 AS id FROM (
            SELECT {name} AS token, count(*) AS n FROM log WHERE train AND {name} <> '' GROUP BY ALL
            ORDER BY n DESC, token DESC LIMIT {VOCABULARY_LIMIT})"""
    )
    tokens = [token for (token,) in database.execute(f"SELECT token FROM v_{name} ORDER BY id").fetchall()]
    (folder / f"{name}.txt").write_text("\n".join(tokens) + "\n")
    return len(tokens)
