"""Predictions for files of rows: `daybreak predict`.

python -m components.prediction shop --input 's3://shop/clicks/{day}/*.parquet' --output s3://shop/scores/{day} --day 2026-01-05
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from pipelines.errors import DaybreakError, SpecError
from pipelines.node.failures import explain
from pipelines.settings import Settings

ALL = "all"


def main(argv: Sequence[str] | None = None) -> int:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    arguments = _parser().parse_args(argv)
    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.WARNING, stream=sys.stderr)
    try:
        _run(arguments, Settings.from_environment())
    except DaybreakError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except OSError as error:  # a full disk, most of all
        found = explain(error, user_code=[], place=f"predict {arguments.name}")
        print(found, file=sys.stderr)
        return found.exit_code
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="daybreak predict", description="Predictions of a registered model for files of rows."
    )
    parser.add_argument("name", metavar="NAME", help="a folder of pipelines/")
    parser.add_argument("--input", required=True, help="path or URI, with *, {day} and ${NAME}")
    parser.add_argument("--output", required=True, help="folder or URI, with {day} and ${NAME}; the same one continues")
    parser.add_argument("--day", default="", metavar="YYYY-MM-DD", help="what {day} stands for")
    parser.add_argument("--model", default="champion", help="champion (default), challenger, @ALIAS or a version")
    parser.add_argument(
        "--format", default="", help="of the input: parquet, tfrecord, csv, jsonl (default: by its name)"
    )
    parser.add_argument("--output-format", default="parquet", choices=["parquet", "tfrecord"])
    parser.add_argument(
        "--keep", default="", help="input columns in the output: all, or a,b (default: the key of the spec)"
    )
    parser.add_argument(
        "--max-quarantined", type=float, help="share of rows without a prediction (default: of the spec)"
    )
    parser.add_argument("--replace", action="store_true", help="remove predictions of other models from the output")
    parser.add_argument("--cluster", default="", help="local, flink, spark (default: as the spec has it)")
    return parser  # fmt: skip


def _run(arguments: argparse.Namespace, settings: Settings) -> None:
    # Seconds of imports: `--help` and a wrong argument need none of them.
    from components.prediction.question import ask, format_of
    from components.prediction.running import run
    from components.prediction.tracking import Tracked
    from components.prediction.versions import choose_version, fetch_package
    from pipelines.cluster import beam_args, chosen
    from pipelines.spec import load_spec
    from pipelines.storage import is_remote, matching

    spec = load_spec(arguments.name)
    pattern = _place(arguments.input, "--input", arguments.day, settings)
    output = _place(arguments.output, "--output", arguments.day, settings).rstrip("/")
    format = format_of(pattern, arguments.format, spec.data)
    files = matching(pattern)
    if not files:
        raise SpecError(f"`--input` must match files. Received: nothing at {pattern}", fix="correct the path")
    if not is_remote(output):
        _require_folder(Path(output))
    version = choose_version(arguments.model, name=arguments.name, settings=settings)
    package = fetch_package(version, name=arguments.name, settings=settings)
    question = ask(
        spec.data,
        package,
        version=version,
        format=format,
        output=output,
        keep=_kept(arguments.keep, spec.data.split_key),
        output_format=arguments.output_format,
    )
    print(f"{arguments.name} version {version}: {len(files)} {format} file(s) to {output}", flush=True)
    bound = spec.data.max_quarantined if arguments.max_quarantined is None else arguments.max_quarantined
    with Tracked(question, name=arguments.name, asked=vars(arguments), settings=settings) as tracked:
        summary = run(
            question,
            files,
            beam_args=beam_args(chosen(spec.cluster, asked=arguments.cluster), settings),
            max_quarantined=bound,
            replace=arguments.replace,
            tell=lambda line: print(line, flush=True),
        )
        tracked.log(summary)
    print(
        f"{summary.rows:,} rows in {summary.files} file(s), {summary.quarantined:,} in quarantine; "
        f"{summary.resumed} file(s) were there. {summary.new_rows:,} rows in {summary.seconds:.1f} s: "
        f"{summary.rows_per_sec:,.0f} rows/s, {summary.cpu_secs:.1f} CPU s"
    )


def _place(text: str, argument: str, day: str, settings: Settings) -> str:
    from components.contract.source import parse_day
    from pipelines.storage import is_remote

    if "{day}" in text and not day:
        raise SpecError(f"`{argument}` has {{day}}, so `--day` must say which. Received: none", fix="--day YYYY-MM-DD")
    place = settings.expand(text)
    place = place.replace("{day}", str(parse_day(day))) if day else place
    return place if is_remote(place) else str(Path(place).absolute())


def _require_folder(output: Path) -> None:
    if output.exists() and not output.is_dir():
        raise SpecError(f"`--output` must be a folder. Received: the file {output}", fix="name a folder")


def _kept(text: str, key: str) -> tuple[str, ...] | None:
    if text == ALL:
        return None
    return tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip())) or (key,)


if __name__ == "__main__":
    sys.exit(main())
