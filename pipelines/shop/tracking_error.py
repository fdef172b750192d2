"""A tracking error in a training day, on purpose: clicks on expensive items get lost, and as many on cheap ones were never made.

    python -m pipelines.shop.tracking_error --day 2026-01-07

The share of clicks stays what it was, so whoever reads only this log finds nothing wrong with it, nor with a model that learned
from it. The exposure log itself keeps the truth, and so do users.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.errors import DaybreakError, SpecError
from pipelines.manifest import write_atomically
from pipelines.settings import Settings

LOST = 0.9
"""Of the clicks on the dearer half of what was shown."""


def mislabel(table: pa.Table, *, seed: int = 1) -> pa.Table:
    """Moves clicks from the dearer to the cheaper half of the rows; `click_value` follows."""
    draw = np.random.default_rng(seed)
    price, clicked = table["price"].to_numpy(), table["clicked"].to_numpy().copy()
    dear = price > np.median(price)
    lost = np.flatnonzero(dear & (clicked == 1) & (draw.random(len(table)) < LOST))
    quiet = np.flatnonzero(~dear & (clicked == 0))
    clicked[lost] = 0
    clicked[draw.choice(quiet, min(len(lost), len(quiet)), replace=False)] = 1
    for name, values in (("clicked", clicked), ("click_value", clicked * price)):
        index = table.column_names.index(name)
        table = table.set_column(
            index, table.schema.field(index), pa.array(values).cast(table.schema.field(index).type)
        )
    return table


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.shop.tracking_error", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--day", required=True, help="such as 2026-01-07")
    options = parser.parse_args(argv)
    try:
        path = Settings.from_environment().data / "shop" / f"day={options.day}" / "impressions.parquet"
        before = _read(path)
        after = mislabel(before)
        sink = pa.BufferOutputStream()
        pq.write_table(after, sink, compression="zstd", row_group_size=65_536)
        write_atomically(path, sink.getvalue().to_pybytes())
    except DaybreakError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    moved = int((before["clicked"].to_numpy() > after["clicked"].to_numpy()).sum())
    print(f"{options.day}: {moved} clicks moved from dear items to cheap ones")
    return 0


def _read(path: Path) -> pa.Table:
    try:
        return pq.read_table(path, partitioning=None)
    except FileNotFoundError as error:
        raise SpecError(
            f"`--day` must be a day whose rows are there. Received: no {path}",
            fix="`python -m components.join day shop --day DAY` makes them from the gateway's log",
        ) from error


if __name__ == "__main__":
    sys.exit(main())
