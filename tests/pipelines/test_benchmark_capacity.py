"""Slopes that are known, and the page made from them."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipelines.settings import REPOSITORY
from tests.benchmarks.capacity.fitting import fit_line, fit_stages
from tests.benchmarks.capacity.planning import Assumptions, Plan
from tests.benchmarks.capacity.rendering import render, rows_text

GIB = 2**30
SIZES = (100_000, 1_000_000, 5_000_000)
STAGES = ("contract", "examples", "statistics", "transform")


def measurement(stage: str, rows: int, *, cores: int = 1, **changes: Any) -> dict[str, Any]:
    """10 s and 2 s per million rows, 1 GiB and 400 bytes per row, on two cores 0.8 as efficient."""
    cpu = 10 + rows * 2e-6
    return {
        "side": "ours",
        "stage": stage,
        "rows": rows,
        "cores": cores,
        "repeat": 0,
        "profiled": False,
        "wall_secs": cpu / (1.6 if cores == 2 else 1),
        "cpu_secs": cpu,
        "startup_bytes": GIB,
        "peak_bytes": 2 * GIB + 400 * rows,
        "output_bytes": 100 * rows,
        "output_files": 2 * math.ceil(rows / 65_536),
    } | changes


def data() -> list[dict[str, Any]]:
    found = [measurement(stage, rows) for stage in STAGES for rows in SIZES]
    found += [measurement("statistics", rows, cores=2, cpu_secs=500.0) for rows in SIZES]
    return [*found, measurement("examples", 100_000, side="stock", cpu_secs=900.0)]


def test_a_line_is_found_whatever_the_sizes() -> None:
    line = fit_line({100_000: 10.2, 1_000_000: 12.0, 5_000_000: 20.0})
    assert line.fixed == pytest.approx(10)
    assert line.per_row == pytest.approx(2e-6)
    assert line.error < 1e-6
    assert line.at(10_000_000) == pytest.approx(30)


def test_the_largest_size_does_not_decide_alone() -> None:
    line = fit_line({100_000: 1.0, 1_000_000: 10.0, 5_000_000: 60.0})
    assert line.at(100_000) == pytest.approx(1.0, rel=0.1)
    assert 0.05 < line.error < 0.2


@pytest.mark.parametrize(
    ("points", "fixed", "per_row"),
    [
        ({100: 1.0, 1000: 20.0}, 0.0, pytest.approx(0.0134, rel=0.3)),
        ({100: 5.0, 1000: 4.0}, pytest.approx(4.4, rel=0.1), 0.0),
    ],
)
def test_nothing_costs_less_than_nothing(points: dict[int, float], fixed: float, per_row: float) -> None:
    line = fit_line(points)
    assert (line.fixed, line.per_row) == (fixed, per_row)


def test_stages_are_fitted_on_one_core_of_our_side() -> None:
    slopes = fit_stages(data())
    assert list(slopes) == list(STAGES)
    examples = slopes["examples"]
    assert examples.cpu_secs.per_row == pytest.approx(2e-6)
    assert examples.memory_bytes.fixed == pytest.approx(GIB)
    assert examples.memory_bytes.per_row == pytest.approx(400)
    assert examples.output_bytes.per_row == pytest.approx(100)
    assert examples.two_core_efficiency is None
    assert slopes["statistics"].cpu_secs == slopes["transform"].cpu_secs
    assert slopes["statistics"].two_core_efficiency == pytest.approx(0.8)


def test_repeats_count_as_their_median_and_profiles_not_at_all() -> None:
    repeats = [
        measurement("examples", SIZES[0], repeat=one, cpu_secs=secs) for one, secs in enumerate((1.0, 10.2, 99.0))
    ]
    profile = measurement("examples", SIZES[0], profiled=True, cpu_secs=1e6)
    line = fit_stages([*repeats, profile, measurement("examples", SIZES[1])])["examples"].cpu_secs
    assert line.at(SIZES[0]) == pytest.approx(10.2)


def test_one_size_is_not_enough() -> None:
    with pytest.raises(ValueError, match=r"at least 2 sizes of the stage 'examples'. Received: \[1000000\]"):
        fit_stages([measurement("examples", 1_000_000)])


def plan(**assumed: Any) -> Plan:
    return Plan(fit_stages(data()), Assumptions(**assumed))


def test_hours_divide_what_can_be_shared_only() -> None:
    found = plan(cores_per_worker=1, worker_start_secs=0)
    # Contract 10 + 2000 s alone and three stages of 10 s alone; 3 * 2000 s shared at 0.8.
    assert found.hours(rows=1_000_000_000, workers=1) * 3600 == pytest.approx(2_040 + 6_000 / 0.8)
    assert found.hours(rows=1_000_000_000, workers=10) * 3600 == pytest.approx(2_040 + 600 / 0.8)


def test_efficiency_weighs_stages_by_what_they_cost() -> None:
    slow = [measurement("transform", rows, cpu_secs=10 + rows * 6e-6, wall_secs=10.0) for rows in SIZES]
    slow += [measurement("transform", rows, cores=2, wall_secs=12.5) for rows in SIZES]
    found = [one for one in data() if one["stage"] != "transform"] + slow
    assert Plan(fit_stages(found), Assumptions()).efficiency == pytest.approx(8 / (2 / 0.8 + 6 / 0.4))


def test_workers_suffice_and_one_fewer_does_not() -> None:
    found = plan(cores_per_worker=2, worker_start_secs=60)
    workers = found.workers(rows=1_000_000_000, hours=1)
    assert workers is not None and workers > 1
    assert found.hours(rows=1_000_000_000, workers=workers) <= 1
    assert found.hours(rows=1_000_000_000, workers=workers - 1) > 1
    assert found.workers(rows=100_000_000_000, hours=12) is None
    assert found.workers(rows=1_000, hours=1) == 1


def test_cost_is_cores_by_the_hour_and_what_is_kept() -> None:
    found = plan(cores_per_worker=4, usd_per_core_hour=0.5, usd_per_gib_month=3.0, kept_days=2)
    rows = 1_000_000_000
    stored = 2 * 4 * 100 * rows / GIB
    assert found.stored_gib(rows) == pytest.approx(stored)
    compute = found.hours(rows=rows, workers=3) * 12 * 0.5
    assert found.cost_usd(rows=rows, workers=3) == pytest.approx(compute + stored * 3.0 / 30)


def test_what_gives_way_first_comes_first() -> None:
    found = plan(budget_hours=1, memory_per_worker_gib=5, driver_gib=21).limits()
    assert [limit.rows for limit in found] == sorted(limit.rows for limit in found)
    by_name = {limit.what: limit.rows for limit in found}
    assert by_name["time of the contract"] == pytest.approx((3600 - 10) / 2e-6)
    assert by_name["memory of the contract"] == pytest.approx(20 * GIB / 400)
    assert by_name["memory of `examples` on one machine"] == pytest.approx(4 * GIB / 400)
    assert found[0].what.startswith("memory of `")
    flat = [{**one, "peak_bytes": 2 * GIB} for one in data()]
    assert not any("memory of" in limit.what for limit in Plan(fit_stages(flat), Assumptions()).limits())


def test_the_page_says_what_is_measured_and_what_is_assumed(tmp_path: Path) -> None:
    report = {"date": "2026-11-21", "machine": {"cores": 2, "memory_gib": 23.5}, "data": data()}
    page = render(report, fit_stages(report["data"]), Assumptions())
    assert "0.1" not in rows_text(100_000) and rows_text(100_000) == "100k"
    assert "| examples | 10.0 | 500,000 | 400 | 100 | 0% |" in page
    assert "Each of two cores does 80% of the work of one alone" in page
    assert "not a quotation" in page
    for size in ("| 10M |", "| 1B |", "| 100B |"):
        assert page.count(size) == 2
    assert "no number: the one process alone takes longer" in page
    assert page.index("memory of `examples`") < page.index("distinct values of one column")

    source, target = tmp_path / "report.json", tmp_path / "capacity.md"
    source.write_text(json.dumps(report))
    command = [sys.executable, "-m", "tests.benchmarks.capacity", "--report", str(source), "--output", str(target)]
    subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True)
    assert target.read_text() == page
    source.unlink()
    done = subprocess.run(command, cwd=REPOSITORY, check=False, capture_output=True, text=True)
    assert done.returncode == 78 and "python -m tests.benchmarks.data_plane" in done.stderr
