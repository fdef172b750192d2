"""Proposes `schema.pbtxt` from a day of data, to be curated: every later day is checked against it.

    daybreak schema shop --day 2026-01-05                 # prints it
    daybreak schema shop --day 2026-01-05 --write         # into the pipeline folder, unless one is there

What one day shows is not yet what is allowed: look at value sets, presence and bounds before it is used.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipelines.errors import DaybreakError, SpecError
from pipelines.manifest import write_atomically
from pipelines.node.command import quiet_native_logs
from pipelines.settings import Settings
from pipelines.spec import Spec, load_spec, pipeline_folder

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0 import schema_pb2

ROWS = 100_000
"""So many of the first rows are looked at."""
VALUES = 40
"""A text column with at most so many different values gets them as its domain."""


def propose_schema(spec: Spec, day: str, settings: Settings) -> schema_pb2.Schema:
    """Infers from the same columns that the statistics node sees. Raises `DataError` when the day cannot be read."""
    import tensorflow_data_validation as tfdv
    from tensorflow_data_validation.statistics import stats_impl

    from components.contract.formats import raw_day
    from components.contract.source import parse_day
    from components.examples.records import to_lists

    rows = raw_day(spec.data, parse_day(day), settings).first_rows(ROWS)
    batch = rows.combine_chunks().to_batches()[0]
    columns = {str(name): str(kind) for name, kind in spec.data.columns.items()}
    statistics = stats_impl.generate_statistics_in_memory(to_lists(batch, columns))
    return tfdv.infer_schema(statistics, infer_feature_shape=True, max_string_domain_size=VALUES)


def render(schema: schema_pb2.Schema, *, pipeline: str, day: str) -> str:
    from google.protobuf import text_format

    return f"# Inferred from {pipeline} {day}; curate it before it is used.\n{text_format.MessageToString(schema)}"


def _write(text: str, pipeline: str) -> str:
    path = pipeline_folder(pipeline) / "schema.pbtxt"
    if path.exists():
        raise SpecError(
            f"a curated schema is never overwritten. Received: {path} exists",
            fix=f"compare with the output of `daybreak schema {pipeline} --day …`, or move the file away",
        )
    write_atomically(path, text.encode())
    return f"{path}: curate it, then run `daybreak check {pipeline}`"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="daybreak schema", description="Propose a schema from a day of data.")
    parser.add_argument("name", metavar="NAME", help="a folder of pipelines/")
    parser.add_argument("--day", required=True, metavar="YYYY-MM-DD")
    parser.add_argument("--write", action="store_true", help="into the pipeline folder, unless there is a schema")
    arguments = parser.parse_args(argv)
    quiet_native_logs()
    try:
        schema = propose_schema(load_spec(arguments.name), arguments.day, Settings.from_environment())
        text = render(schema, pipeline=arguments.name, day=arguments.day)
        print(_write(text, arguments.name) if arguments.write else text, end="\n" if arguments.write else "")
    except DaybreakError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
