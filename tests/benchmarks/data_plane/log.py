"""A Criteo-shaped log: 13 numbers, 26 categories, a label, a user and a time; the same rows for the same seed.

    write_log(folder, rows=1_000_000)      # folder/parquet/day=2026-01-05/log.parquet, folder/csv/log.csv

A smaller log is the beginning of a larger one. One row group is in memory at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from tests.benchmarks.data_plane.columns import CATEGORIES, LABEL, NUMBERS, TIME, USER, Category, Number

DAY = "2026-01-05"
DAY_START_SECS = 1_767_571_200
GROUP_ROWS = 65_536
USERS = 400_000
WRONG_SHARE = 0.0005
"""Rows with a number that the contract refuses."""
WRONG_NUMBER = "n13"

_HEX = np.array([f"{byte:02x}" for byte in range(256)], "S2").view("u1").reshape(256, 2)

Floats = npt.NDArray[np.float64]


def write_log(folder: Path, *, rows: int, seed: int = 1) -> None:
    """The day as Parquet and as CSV. Files that are there already are kept."""
    parquet, text = parquet_file(folder), csv_file(folder)
    if parquet.exists() and text.exists():
        return
    parquet.parent.mkdir(parents=True, exist_ok=True)
    text.parent.mkdir(parents=True, exist_ok=True)
    unfinished = [path.with_name(f"_{path.name}") for path in (parquet, text)]
    # Header by hand, since Arrow quotes names whatever it is told, and stock TFX keeps those quotes.
    unquoted = pa_csv.WriteOptions(include_header=False, quoting_style="none")
    schema = log_schema()
    with unfinished[1].open("wb") as file:
        file.write(",".join(schema.names).encode() + b"\n")
        with (
            pq.ParquetWriter(unfinished[0], schema, compression="zstd", compression_level=1) as columns,
            pa_csv.CSVWriter(file, schema, write_options=unquoted) as lines,
        ):
            for batch in batches(rows=rows, seed=seed):
                columns.write_batch(batch, row_group_size=GROUP_ROWS)
                lines.write_batch(batch)
    for path, final in zip(unfinished, (parquet, text), strict=True):
        path.rename(final)


def write_days(folder: Path, days: Sequence[str], *, rows: int) -> None:
    """Other rows on each day, as Parquet. Files that are there already are kept."""
    for seed, day in enumerate(days, 2):
        path = parquet_file(folder, day)
        if path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f"_{path.name}")
        with pq.ParquetWriter(unfinished, log_schema(), compression="zstd", compression_level=1) as columns:
            for batch in batches(rows=rows, seed=seed):
                columns.write_batch(batch, row_group_size=GROUP_ROWS)
        unfinished.rename(path)


def parquet_file(folder: Path, day: str = DAY) -> Path:
    return folder / "parquet" / f"day={day}" / "log.parquet"


def csv_file(folder: Path) -> Path:
    return folder / "csv" / "log.csv"


def log_schema() -> pa.Schema:
    fields = {LABEL: pa.int64(), USER: pa.int64(), TIME: pa.int64()}
    fields |= {name: pa.int64() if number.whole else pa.float32() for name, number in NUMBERS.items()}
    fields |= dict.fromkeys(CATEGORIES, pa.string())
    return pa.schema(list(fields.items()))


def batches(*, rows: int, seed: int = 1) -> Iterator[pa.RecordBatch]:
    """Row groups of `GROUP_ROWS`; the last one may be shorter."""
    for number in range(-(-rows // GROUP_ROWS)):
        yield _batch(number, seed).slice(0, rows - number * GROUP_ROWS)


def _batch(number: int, seed: int) -> pa.RecordBatch:
    random = np.random.default_rng([seed, number])
    users = _ranks(random, Category(USERS, 0.7))
    seconds = DAY_START_SECS + np.sort(random.integers(0, 86_400, GROUP_ROWS))
    numbers = {name: _number(random, number) for name, number in NUMBERS.items()}
    ranks = {name: _ranks(random, category) for name, category in CATEGORIES.items()}
    signal = 0.25 * np.log1p(numbers["n02"]) - 0.6 * (ranks["c09"] % 2) - 1.6
    columns = [
        pa.array((random.random(GROUP_ROWS) < 1 / (1 + np.exp(-signal))).astype(np.int64)),
        pa.array(users),
        pa.array(seconds),
    ]
    wrong = random.random(GROUP_ROWS) < WRONG_SHARE
    numbers[WRONG_NUMBER] = np.where(wrong, -1.0, numbers[WRONG_NUMBER])
    for name, values in numbers.items():
        present = (random.random(GROUP_ROWS) >= NUMBERS[name].missing) | (wrong if name == WRONG_NUMBER else False)
        columns.append(pa.array(values.astype(np.int64 if NUMBERS[name].whole else np.float32), mask=~present))
    for index, (name, category) in enumerate(CATEGORIES.items()):
        columns.append(_tokens(ranks[name], index, random.random(GROUP_ROWS) >= category.missing))
    return pa.RecordBatch.from_arrays(columns, schema=log_schema())


def _number(random: np.random.Generator, number: Number) -> Floats:
    """Log-normal, as counts of clicks and prices are; whole numbers have many zeros."""
    values = number.scale * np.exp(1.5 * random.standard_normal(GROUP_ROWS))
    return np.floor(values) if number.whole else np.round(values, 3)


def _ranks(random: np.random.Generator, category: Category) -> npt.NDArray[np.int64]:
    """Power law by inversion: rank r has the frequency of about r ** -exponent."""
    uniform, power = random.random(GROUP_ROWS), 1 - category.exponent
    if abs(power) < 1e-9:
        ranks = np.exp(uniform * np.log(category.distinct + 1))
    else:
        ranks = (1 + uniform * ((category.distinct + 1) ** power - 1)) ** (1 / power)
    return np.minimum(ranks.astype(np.int64), category.distinct) - 1


def _tokens(ranks: npt.NDArray[np.int64], column: int, present: npt.NDArray[np.bool_]) -> pa.StringArray:
    """Eight hexadecimal digits, another rank another token: an odd factor is a bijection of 32 bits."""
    mixed = ((ranks.astype(np.uint64) + (column << 24)) * np.uint64(2_654_435_761)).astype(np.uint32)
    text = _HEX[mixed[present].astype(">u4").view("u1")]
    offsets = np.zeros(len(ranks) + 1, np.int32)
    np.cumsum(8 * present, out=offsets[1:])
    validity = pa.py_buffer(np.packbits(present, bitorder="little").tobytes())
    buffers = [validity, pa.py_buffer(offsets.tobytes()), pa.py_buffer(text.tobytes())]
    return pa.StringArray.from_buffers(len(ranks), buffers[1], buffers[2], buffers[0], int((~present).sum()))
