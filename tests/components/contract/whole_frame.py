"""The contract in the plainest way, over a whole day in memory: what the streamed one must agree with.

Everything but the conversion of single columns is written again: duplicates by polars over the frame, all expectations by Great
Expectations over pandas.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from great_expectations.expectations.expectation import Expectation

from components.contract.expectations import ROW, is_row_level, outcome, run_whole, title
from components.contract.values import Mask, convert
from pipelines.spec import Data


@dataclass(frozen=True)
class WholeFrame:
    kept: pa.Table
    reasons: list[str]
    """Of the rows in quarantine, in order."""
    bad: list[int]
    counts: dict[str, int]
    observed: dict[str, tuple[bool, str | float]]
    """By expectation: whether it holds, and what was seen."""


def judge_whole_frame(paths: list[Path], data: Data, expectations: list[Expectation]) -> WholeFrame:
    table = pa.concat_tables([pq.read_table(path) for path in paths], promote_options="permissive")
    typed = {name: convert(table[name].combine_chunks(), kind, name=name) for name, kind in data.columns.items()}
    rows = pa.table({name: column.values for name, column in typed.items()})
    masks: dict[str, Mask] = {reason: mask for column in typed.values() for reason, mask in column.wrong.items()}
    for name in dict.fromkeys([data.label, *data.required]):
        told = np.any([mask for reason, mask in masks.items() if reason.startswith(f"{name}: ")], axis=0)
        masks[f"{name}: missing"] = pc.is_null(rows[name]).to_numpy() & ~told
    masks["the same as an earlier row"] = _repeated(table)
    sound = np.flatnonzero(~np.any(list(masks.values()), axis=0))
    observed: dict[str, tuple[bool, str | float]] = {}
    for item in run_whole(rows.take(pa.array(sound)), [item for item in expectations if is_row_level(item)]):
        name = title(item.expectation_config)
        masks[name] = np.zeros(rows.num_rows, bool)
        masks[name][sound[[entry[ROW] for entry in item.result.get("unexpected_index_list") or []]]] = True
        observed[name] = (bool(item.success), outcome(item, of_rows=True).observed)
    quarantined = np.any(list(masks.values()), axis=0)
    kept = rows.take(pa.array(np.flatnonzero(~quarantined)))
    for item in run_whole(kept, [item for item in expectations if not is_row_level(item)]):
        observed[title(item.expectation_config)] = (bool(item.success), outcome(item, of_rows=False).observed)
    bad = [int(row) for row in np.flatnonzero(quarantined)]
    return WholeFrame(
        kept=kept,
        bad=bad,
        reasons=["; ".join(reason for reason, mask in masks.items() if mask[row]) for row in bad],
        counts={reason: int(mask.sum()) for reason, mask in masks.items() if mask.any()},
        observed=observed,
    )


def _repeated(table: pa.Table) -> Mask:
    frame = pl.DataFrame(pl.from_arrow(table)).with_row_index("row of the day")
    firsts = frame.unique(subset=frame.columns[1:], keep="first", maintain_order=True)["row of the day"]
    repeated = np.ones(table.num_rows, bool)
    repeated[firsts.to_numpy()] = False
    return repeated
