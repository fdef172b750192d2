"""TFDV statistics as one HTML page that needs no network: a table of numbers and a table of strings per split."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

TOP_VALUES = 3
_STYLE = """<style>
body { font: 14px/1.4 system-ui, sans-serif; margin: 1.5em; color: #222 }
table { border-collapse: collapse; margin: .5em 0 2em }
th, td { border-bottom: 1px solid #ddd; padding: .25em .7em; text-align: right; white-space: nowrap }
th:first-child, td:first-child { text-align: left; font-weight: 600 }
td.text { text-align: left; white-space: normal; max-width: 30em }
td.warn { background: #fdecc8 }
</style>"""
_NUMERIC = ("column", "count", "missing", "mean", "std", "zeros", "min", "median", "max")
_STRING = ("column", "count", "missing", "unique", "average length", "most frequent")


def read_statistics(folder: Path) -> dict[str, Any]:
    """`DatasetFeatureStatistics` by split name."""
    from tensorflow_metadata.proto.v0 import statistics_pb2

    splits = {}
    for path in sorted(folder.glob("Split-*/FeatureStats.pb")):
        found = statistics_pb2.DatasetFeatureStatisticsList()
        found.ParseFromString(path.read_bytes())
        splits[path.parent.name.removeprefix("Split-")] = found.datasets[0]
    return splits


def statistics_page(splits: Mapping[str, Any]) -> str:
    """The page for `read_statistics`' result."""
    parts = [f"<!doctype html><meta charset=utf-8><title>Statistics</title>{_STYLE}"]
    for split, found in splits.items():
        numeric = [feature for feature in found.features if feature.WhichOneof("stats") == "num_stats"]
        strings = [feature for feature in found.features if feature.WhichOneof("stats") != "num_stats"]
        parts.append(f"<h2>{escape(split)}: {found.num_examples:,} rows</h2>")
        parts.append(_table(_NUMERIC, (_numeric_row(feature, found.num_examples) for feature in numeric)))
        parts.append(_table(_STRING, (_string_row(feature, found.num_examples) for feature in strings)))
    return "\n".join(parts)


def _numeric_row(feature: Any, rows: int) -> Sequence[object]:
    stats = feature.num_stats
    count = stats.common_stats.num_non_missing
    zeros = stats.num_zeros / max(1, stats.common_stats.tot_num_values)
    values = (stats.mean, stats.std_dev)
    return (_name(feature), count, _missing(count, rows), *values, f"{zeros:.1%}", stats.min, stats.median, stats.max)


def _string_row(feature: Any, rows: int) -> Sequence[object]:
    kind = feature.WhichOneof("stats")
    stats = getattr(feature, kind) if kind else feature.string_stats
    common = stats.common_stats
    if kind != "string_stats":
        return (_name(feature), common.num_non_missing, _missing(common.num_non_missing, rows), "", "", "")
    top = ", ".join(f"{value.value} ({value.frequency:,.0f})" for value in stats.top_values[:TOP_VALUES])
    missing = _missing(common.num_non_missing, rows)
    return (_name(feature), common.num_non_missing, missing, stats.unique, stats.avg_length, top)


def _name(feature: Any) -> str:
    return feature.name or ".".join(feature.path.step)


def _missing(count: int, rows: int) -> str:
    return f"{1 - count / rows:.1%}" if rows else ""


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    body = [f"<tr>{''.join(_cell(value) for value in row)}</tr>" for row in rows]
    if not body:
        return ""
    return f"<table><tr>{''.join(f'<th>{name}</th>' for name in header)}</tr>{''.join(body)}</table>"


def _cell(value: object) -> str:
    if isinstance(value, int):
        return f"<td>{value:,}</td>"
    if isinstance(value, float):
        return f"<td>{value:.4g}</td>"
    text = str(value)
    missing = text.endswith("%") and text not in {"0.0%", "-0.0%"}
    kind = " class=warn" if missing and text == "100.0%" else " class=text" if "(" in text else ""
    return f"<td{kind}>{escape(text)}</td>"
