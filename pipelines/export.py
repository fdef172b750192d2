"""Ordinary tf.Examples of a day, for tools that do not read the examples' own format.

    daybreak export shop --day 2026-01-05 --split train --output /tmp/rows
    daybreak export shop --day 2026-01-05 --split eval --output /tmp/rows --gzip
    daybreak export shop --day 2026-01-05 --transformed --output /tmp/features

TFRecord files, one per shard of the examples, from the newest run of that day. Transformed ones are parsed by
`tf.io.parse_example` with `tft.TFTransformOutput(transform_graph).transformed_feature_spec()`; with `data.downsample`
they have its column of weights too.
"""

from __future__ import annotations

import argparse
import sys
import uuid
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from pipelines.artifact_store import ArtifactStore
from pipelines.errors import DataError, DaybreakError, SpecError, bounded
from pipelines.node.command import data_day, quiet_native_logs
from pipelines.outcome import read_outcomes
from pipelines.settings import Settings


class Stage(NamedTuple):
    """What a node left, and where."""

    node: str
    output: str


RAW, TRANSFORMED = Stage("examples", "examples"), Stage("transform", "transformed_examples")


def newest_examples(settings: Settings, pipeline: str, day: str, stage: Stage = RAW) -> Path:
    """Where the newest run of the day has its examples.

    Raises:
        DataError: no run of that day made examples that are still there.
    """
    # What each node wrote says which day it was about: a run may have any id.
    store = ArtifactStore.of(settings)
    runs = [path.name for path in (settings.runs / pipeline).glob("*") if (path / "nodes").is_dir()]
    outcomes = [found for run in runs if (found := read_outcomes(settings, pipeline, run).get(stage.node))]
    of_day = (outcome for outcome in outcomes if outcome.day == day)
    for outcome in sorted(of_day, key=lambda outcome: outcome.ended, reverse=True):
        for reference in outcome.outputs.get(stage.output, ()):
            if store.exists(reference.uri):
                return store.fetch(reference.uri)
    days = sorted({outcome.day for outcome in outcomes}, reverse=True)
    raise DataError(
        f"a run of the day must have ended the node {stage.node!r}. Received: pipeline {pipeline}, day {day}; "
        f"there are {bounded(days) or 'no days'}",
        fix=f"`daybreak run {pipeline} --day {day}`, or name another day",
        place=str(settings.runs / pipeline),
    )


def export(examples: Path, *, split: str, output: Path, gzip: bool, stage: Stage = RAW) -> int:
    """Writes TFRecords of tf.Example into the new or empty folder `output`; returns how many examples.

    Raises:
        SpecError: there is no such split, or `output` holds files.
        DataError: a shard cannot be read.
    """
    if not (examples / f"Split-{split}").is_dir():
        known = bounded(sorted(path.name.removeprefix("Split-") for path in examples.glob("Split-*")))
        raise SpecError(
            f"`--split` must be one of {known}. Received: {split}", fix="name one of them", place=str(examples)
        )
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise SpecError(f"`--output` must be a new or empty folder. Received: {output}", fix="name another one")
    shards = _transformed_shards(examples, split) if stage == TRANSFORMED else _raw_shards(examples, split)
    names = [f"data_tfrecord-{index:05d}-of-{len(shards):05d}{'.gz' if gzip else ''}" for index in range(len(shards))]
    return sum(_write(records, output / name, gzip=gzip) for name, records in zip(names, shards, strict=True))


def _raw_shards(examples: Path, split: str) -> list[Iterator[bytes]]:
    """The records of each shard."""
    from components.examples.records import RowGroup, read, row_groups, serialize

    by_path: dict[str, list[RowGroup]] = {}
    for group in row_groups(examples, split):
        by_path.setdefault(group.path, []).append(group)
    return [(record for group in groups for record in serialize(read(group))) for groups in by_path.values()]


def _transformed_shards(examples: Path, split: str) -> list[Iterator[bytes]]:
    from components.transform.blocks import read_examples, shards

    return [read_examples(path) for path in shards(examples, split)]


def _write(records: Iterable[bytes], path: Path, *, gzip: bool) -> int:
    import tensorflow as tf

    # gzip-1 costs a quarter of gzip-6 in CPU for a few percent more bytes.
    options = tf.io.TFRecordOptions(compression_type="GZIP", compression_level=1) if gzip else None
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    count = 0
    try:
        with tf.io.TFRecordWriter(str(temporary), options) as writer:
            for count, record in enumerate(records, start=1):  # noqa: B007
                writer.write(record)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return count


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="daybreak export", description="Write a day's examples as tf.Examples.")
    parser.add_argument("name", metavar="NAME", help="a folder of pipelines/")
    parser.add_argument("--day", required=True, type=data_day, metavar="YYYY-MM-DD")
    parser.add_argument("--split", default="train", help="default: train")
    parser.add_argument(
        "--transformed", action="store_true", help="what the model learns from, instead of the raw columns"
    )
    parser.add_argument("--output", required=True, type=Path, metavar="FOLDER", help="new or empty")
    parser.add_argument("--gzip", action="store_true", help="compress the files")
    arguments = parser.parse_args(argv)
    quiet_native_logs()
    try:
        stage = TRANSFORMED if arguments.transformed else RAW
        examples = newest_examples(Settings.from_environment(), arguments.name, arguments.day, stage)
        count = export(examples, split=arguments.split, output=arguments.output, gzip=arguments.gzip, stage=stage)
        print(f"{count:,} examples of {arguments.split} in {arguments.output}, from {examples}")
    except DaybreakError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
