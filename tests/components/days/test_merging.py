from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import apache_beam as beam
import pytest

from components.aggregation import FAN_IN, Aggregate, Kernel
from components.days.merging import ByDay, Partials, numbered, write_pickled
from components.days.store import DayStore
from tests.components.days.chain import RUNNER

Groups = dict[str, list[float]]


class Tree(Kernel[float, str]):
    """Shows in which order what was merged: floats would hide it now and then."""

    def partial(self, element: float) -> str:
        return f"{element:g}"

    def merge(self, partials: Sequence[str]) -> str:
        return f"({' '.join(partials)})"


def measured(groups: Groups, path: Path) -> None:
    with beam.Pipeline(argv=RUNNER) as pipeline:
        merged = pipeline | beam.Create(numbered(groups)) | Aggregate(ByDay(Tree()))
        _ = merged | beam.Map(write_pickled, path)


def merged(groups: Groups, folder: Path) -> tuple[str | None, list[str]]:
    """Of days whose keys are their names; with those that were measured."""
    path = folder / "partials"
    path.unlink(missing_ok=True)
    with DayStore.opened("shop") as store:
        partials = Partials(store, "statistics", {day: day for day in groups})
        if missing := partials.missing:
            measured({day: groups[day] for day in missing}, path)
        return partials.merged(Tree(), path), missing


def test_a_day_is_merged_the_same_whatever_is_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    groups: Groups = {"a": [1.0] * (FAN_IN - 3), "b": [2.0] * (FAN_IN + 5), "c": [], "d": [3.0]}
    found = []
    for state, before in (("warm", ["a", "b", "c"]), ("cold", [])):
        monkeypatch.setenv("DAYBREAK_STATE", str(tmp_path / state))
        if before:
            merged({day: groups[day] for day in before}, tmp_path)
        found.append(merged({day: groups[day] for day in ("b", "c", "d")}, tmp_path))
    (warm, only_last), (cold, all_days) = found
    assert warm == cold and only_last == ["d"] and all_days == ["b", "c", "d"]


def test_a_window_without_a_row_has_no_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAYBREAK_STATE", str(tmp_path))
    assert merged({"a": [], "b": []}, tmp_path) == (None, ["a", "b"])
    assert merged({"a": [], "b": []}, tmp_path) == (None, [])


def test_a_long_window_is_merged_in_day_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAYBREAK_STATE", str(tmp_path))
    found, _ = merged({f"{day:02d}": [float(day)] for day in range(20)}, tmp_path)
    assert found is not None
    assert found.replace("(", "").replace(")", "").split() == [str(day) for day in range(20)]
