from __future__ import annotations

from pathlib import Path

import pytest

from tests.components.days.chain import DAYS, GROUPS, Found, run, spec, write_day

PHASES = 3
WINDOW = 3


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DAYBREAK_STATE", str(tmp_path / "state"))
    for day in DAYS:
        write_day(tmp_path / "raw", day)
    return tmp_path / "raw"


@pytest.mark.slow
def test_a_window_costs_one_day_and_has_the_bytes_of_a_cold_run(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def at(folder: str, day: str) -> Found:
        return run(tmp_path / folder, spec(raw), day=day, patch=monkeypatch)

    first = at("first", DAYS[3])
    assert first.work == {
        "judged": WINDOW,
        "split": WINDOW * GROUPS,
        "statistics": 2 * WINDOW * GROUPS,
        "analyzed": PHASES * WINDOW * GROUPS,
    }
    second = at("second", DAYS[4])
    # Phases behind constants that moved are measured again; the first one is kept.
    assert second.work == {
        "judged": 1,
        "split": GROUPS,
        "statistics": 2 * GROUPS,
        "analyzed": GROUPS + (PHASES - 1) * WINDOW * GROUPS,
    }
    again = at("again", DAYS[4])
    assert again.work == {}

    write_day(raw, DAYS[2], seed=99)
    late = at("late", DAYS[4])
    assert late.work == second.work

    monkeypatch.setenv("DAYBREAK_STATE", str(tmp_path / "elsewhere"))
    assert at("cold", DAYS[4]).contents == late.contents != second.contents == again.contents


@pytest.mark.slow
def test_a_sample_of_a_window_is_that_of_a_cold_run_and_leaves_the_statistics_alone(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def at(folder: str, keep: float) -> Found:
        declared = {**spec(raw), "downsample": {"keep_negatives": keep}}
        return run(tmp_path / folder, declared, patch=monkeypatch)

    half = at("half", 0.5)
    less = at("less", 0.25)
    assert less.work["split"] == WINDOW * GROUPS
    assert less.work["statistics"] == 0  # of all rows, which are the same
    assert less.work["analyzed"] > 0
    assert less.contents != half.contents

    monkeypatch.setenv("DAYBREAK_STATE", str(tmp_path / "elsewhere"))
    assert at("cold", 0.25).contents == less.contents
