"""Ordinary tf.Examples of a day, for tools that do not read the examples' own format.

    daybreak export shop --day 2026-01-05 --split train --output /tmp/rows
    daybreak export shop --day 2026-01-05 --split eval --output /tmp/rows --gzip

TFRecord files, one per shard of the examples, from the newest run of that day.
"""

from __future__ import annotations

import argparse
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.artifact_store import ArtifactStore
from pipelines.errors import DataError, DaybreakError, SpecError, bounded
from pipelines.node.command import data_day, quiet_native_logs
from pipelines.outcome import Outcome, read_outcomes
from pipelines.settings import Settings

if TYPE_CHECKING:
    from components.examples.records import RowGroup

NODE = "examples"


def newest_examples(settings: Settings, pipeline: str, day: str) -> Path:
    """Where the newest run of the day has its examples.

    Raises:
        DataError: no run of that day made examples that are still there.
    """
    store = ArtifactStore.of(settings)
    folders = (settings.runs / pipeline).glob(f"{pipeline}-{day}-*")
    outcomes = [found for folder in folders if (found := read_outcomes(settings, pipeline, folder.name).get(NODE))]
    for outcome in sorted(outcomes, key=lambda outcome: outcome.ended, reverse=True):
        for uri in _uris(outcome):
            if store.exists(uri):
                return store.fetch(uri)
    raise DataError(
        f"a run of the day must have made examples. Received: pipeline {pipeline}, day {day}",
        fix=f"`daybreak run {pipeline} --day {day}`, or look for other days in {settings.runs / pipeline}",
    )


def _uris(outcome: Outcome) -> list[str]:
    return [ref.uri for refs in outcome.outputs.values() for ref in refs if ref.type == "Examples"]


def export(examples: Path, *, split: str, output: Path, gzip: bool) -> int:
    """Writes TFRecords of tf.Example into the new or empty folder `output`; returns how many examples.

    Raises:
        SpecError: there is no such split, or `output` holds files.
        DataError: a shard cannot be read.
    """
    from components.examples.records import row_groups

    if not (examples / f"Split-{split}").is_dir():
        known = bounded(sorted(path.name.removeprefix("Split-") for path in examples.glob("Split-*")))
        raise SpecError(
            f"`--split` must be one of {known}. Received: {split}", fix="name one of them", place=str(examples)
        )
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise SpecError(f"`--output` must be a new or empty folder. Received: {output}", fix="name another one")
    groups = row_groups(examples, split)
    paths = list(dict.fromkeys(group.path for group in groups))
    for index, path in enumerate(paths):
        name = f"data_tfrecord-{index:05d}-of-{len(paths):05d}{'.gz' if gzip else ''}"
        _write([group for group in groups if group.path == path], output / name, gzip=gzip)
    return sum(group.row_count for group in groups)


def _write(groups: Sequence[RowGroup], path: Path, *, gzip: bool) -> None:
    import tensorflow as tf

    from components.examples.records import read, serialize

    # gzip-1 costs a quarter of gzip-6 in CPU for a few percent more bytes.
    options = tf.io.TFRecordOptions(compression_type="GZIP", compression_level=1) if gzip else None
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with tf.io.TFRecordWriter(str(temporary), options) as writer:
            for group in groups:
                for record in serialize(read(group)):
                    writer.write(record)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="daybreak export", description="Write a day's examples as tf.Examples.")
    parser.add_argument("name", metavar="NAME", help="a folder of pipelines/")
    parser.add_argument("--day", required=True, type=data_day, metavar="YYYY-MM-DD")
    parser.add_argument("--split", default="train", help="default: train")
    parser.add_argument("--output", required=True, type=Path, metavar="FOLDER", help="new or empty")
    parser.add_argument("--gzip", action="store_true", help="compress the files")
    arguments = parser.parse_args(argv)
    quiet_native_logs()
    try:
        examples = newest_examples(Settings.from_environment(), arguments.name, arguments.day)
        count = export(examples, split=arguments.split, output=arguments.output, gzip=arguments.gzip)
        print(f"{count:,} examples of {arguments.split} in {arguments.output}, from {examples}")
    except DaybreakError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
