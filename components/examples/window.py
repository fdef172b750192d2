"""Examples of a window of several days: only days of which none are kept are split.

split_window(days, rows_folder, {"examples": folder}, data, make_beam_pipeline)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from components.days.identity import code_key, key_of
from components.days.listing import Day, Days
from components.days.store import DayStore, Entry, place
from components.examples.records import shard_name, shards
from components.examples.row_groups import Split, Targets, raw_row_groups
from pipelines.spec import Data

STAGE = "examples"
_DECIDING = {"columns", "label", "split_key", "splits", "downsample"}
"""Settings that decide the examples of a day whose rows are given."""


def split_window(days: Days, rows: Path, targets: Targets, data: Data, pipeline_of: Callable[[], Any]) -> None:
    """Splits the days of which no examples are kept, and puts those of all days side by side."""
    files = sorted(rows.glob("*.parquet"))
    key = key_of(code_key("components.examples"), data.model_dump_json(include=_DECIDING))
    with DayStore.opened(days.pipeline) as store, ExitStack() as stack:
        keys = [key_of(key, day.digest) for day in days.days]
        entries = {name: store.find(STAGE, name) for name in keys}
        folders = {name: stack.enter_context(store.new()) for name, entry in entries.items() if entry is None}
        paths = dict(zip(keys, files, strict=True))
        with pipeline_of() as pipeline:
            _ = pipeline | Split(
                [
                    (list(raw_row_groups([paths[name]])), {output: folder / output for output in targets})
                    for name, folder in folders.items()
                ],
                data,
            )
        made = {name: store.add(STAGE, name, folder) for name, folder in folders.items()}
        found = [entries[name] or made[name] for name in keys]
        for output, target in targets.items():
            splits = data.downsample.splits if output == "sample" and data.downsample else data.splits
            _side_by_side(found, output, days, list(splits), target)
        store.prune(STAGE)
    print(f"{len(keys)} days, {len(folders)} of them split now", flush=True)


def _side_by_side(entries: Sequence[Entry], output: str, days: Days, splits: Sequence[str], target: Path) -> None:
    counts = [len(shards(entry.folder / output, splits[0])) for entry in entries]
    listed: list[Day] = []
    for day, entry, count in zip(days.days, entries, counts, strict=True):
        first = sum(one.count for one in listed)
        listed.append(Day(day=day.day, digest=entry.digest_below(output), first=first, count=count))
        for split in splits:
            for number, path in enumerate(shards(entry.folder / output, split)):
                place(path, target / f"Split-{split}" / shard_name(first + number, sum(counts)))
    Days(pipeline=days.pipeline, days=tuple(listed)).write(target)
