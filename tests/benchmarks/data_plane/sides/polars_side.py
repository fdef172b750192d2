"""What a user of Polars would write for the same statistics, vocabularies and features."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import polars as pl

from tests.benchmarks.data_plane.columns import CATEGORIES, LABEL, NUMBERS, SPLITS, USER, VOCABULARY_LIMIT
from tests.benchmarks.data_plane.log import parquet_file
from tests.benchmarks.data_plane.sides import Work

TOP_VALUES = 1000
"""TFDV ranks as many."""
BUCKETS = 10
DECILES = [step / BUCKETS for step in range(1, BUCKETS)]
TRAIN = pl.col(USER) % sum(SPLITS.values()) < SPLITS["train"]


def prepare(stage: str, work: Work) -> Callable[[], None]:
    write = {"statistics": write_statistics, "transform": write_transformed}[stage]
    return partial(write, parquet_file(work.data), work.folder / stage)


def write_statistics(day: Path, folder: Path) -> None:
    """`statistics.json`: per split and column what TFDV computes by default; here distinct values are counted exactly."""
    frame = pl.scan_parquet(day).with_columns(TRAIN.alias("train"))
    plans = [frame.group_by("train").agg(_number(name) for name in (*NUMBERS, LABEL))]
    plans += [_category(frame, name) for name in CATEGORIES]
    numbers, *categories = pl.collect_all(plans, engine="streaming")
    found = {
        "numbers": numbers.sort("train").to_dicts(),
        "categories": {
            name: counts.sort("train").to_dicts() for name, counts in zip(CATEGORIES, categories, strict=True)
        },
    }
    (folder / "statistics.json").write_text(json.dumps(found))


def _number(name: str) -> pl.Expr:
    column = pl.col(name)
    values = column.drop_nulls().sort()
    positions = ((pl.lit(pl.Series(DECILES)) * values.len()).floor()).cast(pl.UInt32)
    return pl.struct(
        count=column.count(),
        missing=column.null_count(),
        mean=column.mean(),
        std=column.std(ddof=0),
        zeros=(column == 0).sum(),
        min=column.min(),
        max=column.max(),
        median=values.median(),
        deciles=values.gather(positions).implode(),
        histogram=values.hist(bin_count=BUCKETS, include_category=False, include_breakpoint=False).implode(),
    ).alias(name)


def _category(frame: pl.LazyFrame, name: str) -> pl.LazyFrame:
    token, count = pl.col(name), pl.col("len")
    counts = frame.group_by("train", name).len()
    return counts.group_by("train").agg(
        missing=count.filter(token.is_null()).sum(),
        distinct=token.drop_nulls().len(),
        mean_length=(token.str.len_bytes() * count).sum() / count.filter(token.is_not_null()).sum(),
        top=pl.struct(name, "len")
        .filter(token.is_not_null())
        .sort_by([count.filter(token.is_not_null()), token.drop_nulls()], descending=True)
        .head(TOP_VALUES),
    )


def write_transformed(day: Path, folder: Path) -> None:
    """Vocabulary files, and `train.parquet` and `eval.parquet` of z-scores and ids."""
    frame = pl.scan_parquet(day)
    train = frame.filter(TRAIN)
    moments = train.select(
        *(pl.col(name).fill_null(0).cast(pl.Float64).mean().alias(f"{name}_mean") for name in NUMBERS),
        *(pl.col(name).fill_null(0).cast(pl.Float64).std(ddof=0).alias(f"{name}_std") for name in NUMBERS),
    )
    moment, *vocabularies = pl.collect_all(
        [moments, *(_vocabulary(train, name) for name in CATEGORIES)], engine="streaming"
    )
    tokens = dict(zip(CATEGORIES, (found.to_series() for found in vocabularies), strict=True))
    for name, values in tokens.items():
        (folder / f"{name}.txt").write_text("\n".join(values) + "\n")
    mean = moment.row(0, named=True)
    outputs = frame.select(
        *(((pl.col(n).fill_null(0) - mean[f"{n}_mean"]) / mean[f"{n}_std"]).cast(pl.Float32).alias(n) for n in NUMBERS),
        *(_ids(name, tokens[name]) for name in CATEGORIES),
        LABEL,
        USER,
    )
    sinks = [
        outputs.filter(split)
        .drop(USER)
        .sink_parquet(folder / f"{name}.parquet", compression="zstd", compression_level=1, lazy=True)
        for name, split in {"train": TRAIN, "eval": ~TRAIN}.items()
    ]
    pl.collect_all(sinks, engine="streaming")


def _vocabulary(frame: pl.LazyFrame, name: str) -> pl.LazyFrame:
    """In TFT's order: descending (count, token)."""
    present = frame.select(name).filter(pl.col(name).is_not_null() & (pl.col(name) != ""))
    return present.group_by(name).len().sort(["len", name], descending=True).head(VOCABULARY_LIMIT).select(name)


def _ids(name: str, tokens: pl.Series) -> pl.Expr:
    return (
        pl.col(name).cast(pl.Enum(tokens), strict=False).to_physical().cast(pl.Int64).fill_null(len(tokens)).alias(name)
    )
