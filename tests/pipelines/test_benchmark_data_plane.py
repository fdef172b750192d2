"""The data benchmark around its stages: the plan, what is measured, and what is made of it. Nothing is timed."""

from __future__ import annotations

import json
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest

from tests.benchmarks.data_plane import __main__ as benchmark
from tests.benchmarks.data_plane.figures import GIB, Measurement, figures_of, tables_of
from tests.benchmarks.data_plane.log import write_log
from tests.benchmarks.data_plane.measuring import NATIVE, measure, place_of, shares
from tests.benchmarks.data_plane.plan import FULL_ROWS, STOCK_ROWS_LIMIT, Case, cases
from tests.benchmarks.report import Table, write_report


def measured(case: Case, *, secs: float = 1.0, gib: float = 2.0) -> Measurement:
    secs = 70.0 if case.profiled else secs
    return Measurement(case, secs, secs, 5.0, int(gib * GIB), GIB, 1_000, 2, {"f (a.py)": 1.0} if case.profiled else {})


def test_every_side_is_measured_where_it_fits() -> None:
    found = cases(FULL_ROWS, repeats=2)
    assert len({case.name for case in found}) == len(found)
    assert {case.rows for case in found if case.side == "stock"} == {100_000, STOCK_ROWS_LIMIT}
    assert {case.repeat for case in found if case.side == "stock"} == {0}
    for side in ("ours", "polars", "duckdb"):
        assert {case.rows for case in found if case.side == side} == set(FULL_ROWS)
    assert {case.repeat for case in found if case.stage == "evaluate" and case.rows == 5_000_000} == {0}
    assert {case.repeat for case in found if case.side == "window" and case.rows == 1_000_000} == {0}
    assert not [case for case in found if case.profiled and case.stage == "evaluate" and case.rows == 5_000_000]
    order = [case.stage for case in found if case.side == "ours" and case.rows == 100_000 and case.cores == 1]
    window = [case.stage for case in found if case.side == "window" and case.rows == 100_000 and case.repeat == 1]
    assert window == ["first", "one_day", "next", "one_day_applied", "next_applied"]
    assert not [case for case in found if case.side == "window" and case.rows == 5_000_000]
    assert order[:5] == ["contract", "examples", "statistics", "transform", "evaluate"]


def test_figures_compare_whole_chains_and_know_their_goals() -> None:
    secs = {"stock": 100.0, "polars": 2.0, "duckdb": 3.0}
    measurements = [
        measured(case, secs=secs.get(case.side, 1.0 if case.cores == 1 else 0.5), gib=case.rows / 1e6 + 1)
        for case in cases((1_000_000, 5_000_000), repeats=2)
    ]
    figures = {name: figure.as_json() for name, figure in figures_of(measurements).items()}
    cpu = figures["CPU to transformed, 1M rows"]
    assert cpu["ours"] == {"median": 3.0, "min": 3.0, "max": 3.0}
    assert cpu["ratio"] == {"TFX from Parquet": 0.01, "TFX from CSV": 0.01, "Polars": 0.75, "DuckDB": 0.5}
    assert cpu["goal"] == {"TFX from Parquet": 0.05, "TFX from CSV": 0.05, "Polars": 2.0}
    assert cpu["met"] is True
    assert "TFX from CSV" not in figures["CPU to transformed, 5M rows"]["peers"]
    assert figures["wall on two cores, 1M rows"]["ratio"]["Daybreak on one core"] == 0.5
    assert figures["contract per million rows, at 5M"]["ours"]["median"] == 0.2
    for stage in ("contract", "examples", "statistics", "transform", "evaluate"):
        assert figures[f"peak memory of {stage}, 5M rows"]["ratio"] == {"Daybreak, 1M rows": 3.0}
        assert figures[f"peak memory of {stage}, 5M rows"]["met"] is False


def test_the_next_day_of_a_window_is_compared_with_one_day_alone() -> None:
    secs = {"first": 40.0, "one_day": 10.0, "next": 11.0, "one_day_applied": 12.0, "next_applied": 24.0}
    found = [measured(case, secs=secs.get(case.stage, 1.0)) for case in cases((100_000,), repeats=1)]
    figures = {name: figure.as_json() for name, figure in figures_of(found).items()}
    kept = figures["next day of a window, 0.1M rows a day"]
    assert kept["ratio"] == {"one day alone": 1.1, "all seven days": 0.275} and kept["met"] is True
    applied = figures["the same with the graph applied, 0.1M rows a day"]
    assert applied["ratio"] == {"one day alone": 2.0} and applied["met"] is None


def test_a_chain_with_a_stage_missing_is_no_figure() -> None:
    found = [measured(case) for case in cases((100_000,), repeats=1) if case.stage != "transform"]
    assert {name for name in figures_of(found) if "window" not in name and "applied" not in name} == {
        "contract per million rows, at 0.1M"
    }
    assert figures_of([]) == {} and tables_of([]) == []


def test_the_page_shows_stages_and_profiles_and_keeps_the_measurements(tmp_path: Path) -> None:
    found = [measured(case) for case in cases((20_000, 100_000), repeats=1)]
    kept = [measurement.as_json() for measurement in found]
    path = write_report(
        "data_plane",
        figures=figures_of(found),
        command="make bench",
        versions={},
        notes=["What is compared."],
        tables=[*tables_of(found), Table("Pipes", ["a|b"], [["c|d"]])],
        data=kept,
        folder=tmp_path,
    )
    assert json.loads(path.read_text())["data"] == json.loads(json.dumps(kept))
    page = (tmp_path / "README.md").read_text()
    assert "\n\n- What is compared.\n\n| figure |" in page
    assert "### 0.1M rows, stage by stage (medians)" in page
    assert "| examples_parquet | TFX | 1 | 1.0 | 1.0 | 100,000 | 2.00 | 1.00 | 5.0 | 0.0 |" in page
    assert "### Where the CPU of `statistics` goes (0.1M rows, one core)" in page
    assert "`statistics` goes (20,000 rows" not in page
    assert "| c\\|d |" in page


def test_cpu_and_memory_are_those_of_the_work() -> None:
    kept = []

    def work() -> None:
        kept.append(bytearray(b"x") * (300 * 2**20))
        Counter(str(number) for number in range(300_000))

    usage, profile = measure(work, profiled=True)
    assert usage.peak_bytes - usage.startup_bytes > 200 * 2**20 or usage.startup_bytes > 300 * 2**20
    assert usage.cpu_secs > 0 and usage.startup_cpu_secs > 0
    assert sum(profile.values()) == pytest.approx(1, abs=0.1)
    assert any("test_cpu_and_memory" in place for place in profile)
    assert measure(lambda: None)[1] == {}


def test_work_that_fails_is_not_measured() -> None:
    def work() -> None:
        raise ValueError("no")

    before = threading.active_count()
    with pytest.raises(ValueError, match="no"):
        measure(work, profiled=True)
    assert threading.active_count() == before


def test_shares_add_up_and_name_what_python_does_not_see() -> None:
    found = shares(Counter({"a": 2.0, "b": 1.0}), 4.0)  # type: ignore[arg-type]
    assert found == {"a": 0.5, "b": 0.25, "other Python code": 0.0, NATIVE: 0.25}


def test_a_place_names_the_function_and_who_of_us_called_it() -> None:
    from pipelines.manifest import write_atomically

    seen = []

    class Content(bytes):
        def __len__(self) -> int:
            seen.append(place_of(sys._getframe()))
            return 0

    def spy(frame: object, event: str, argument: object) -> None:
        if event == "c_call":
            seen.append(place_of(frame))  # type: ignore[arg-type]

    sys.setprofile(spy)
    try:
        write_atomically(Path("/dev/shm/daybreak-place"), b"x")
    finally:
        sys.setprofile(None)
        Path("/dev/shm/daybreak-place").unlink(missing_ok=True)
    assert any(place.startswith("write_atomically (pipelines/manifest.py)") for place in seen)
    assert any(place.endswith(" from write_atomically (pipelines/manifest.py)") for place in seen)


def test_a_stage_runs_in_a_process_of_its_own_and_a_failure_shows_its_end(tmp_path: Path) -> None:
    write_log(tmp_path / "data", rows=500)
    found = benchmark.run_stage("duckdb", "transform", tmp_path / "data", tmp_path / "out", tmp_path, 1)
    assert found["output_files"] == 28 and found["profile"] == {}
    assert int(str(found["peak_bytes"])) > int(str(found["startup_bytes"])) > 0
    with pytest.raises(RuntimeError, match=r"(?s)duckdb statistics ended with 1:.*No files found"):
        benchmark.run_stage("duckdb", "statistics", tmp_path / "nothing", tmp_path / "out", tmp_path, 1)


def test_a_measurement_that_is_there_is_not_made_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case = Case(1_000, "ours", "contract")
    found = measured(case).as_json()
    (tmp_path / "measurements").mkdir()
    numbers = {name: value for name, value in found.items() if name not in Case._fields or name == "profile"}
    (tmp_path / "measurements" / f"{case.name}.json").write_text(json.dumps(numbers))
    assert benchmark._measured(case, tmp_path) == measured(case)
    assert "1000-ours-contract-1core-0: 1.0 s" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == [tmp_path / "measurements"]


def test_a_peer_that_fails_is_told_and_ours_stops_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(side: str, stage: str, *_: object, **__: object) -> dict[str, object]:
        raise RuntimeError(f"{side} {stage} ended with -9:\nreading\nMemoryError: no more")

    monkeypatch.setattr(benchmark, "run_stage", fails)
    monkeypatch.setattr(benchmark, "_make_model", lambda _: None)
    told = benchmark._measured(Case(1_000, "stock", "transform"), tmp_path)
    assert told == "At 1,000 rows stock transform ended with -9: MemoryError: no more"
    monkeypatch.undo()
    assert benchmark._measured(Case(1_000, "stock", "transform"), tmp_path) == told
    monkeypatch.setattr(benchmark, "run_stage", fails)
    monkeypatch.setattr(benchmark, "_make_model", lambda _: None)
    with pytest.raises(RuntimeError, match="ours contract ended with -9"):
        benchmark._measured(Case(1_000, "ours", "contract"), tmp_path)
    assert not (tmp_path / "measurements" / "1000-ours-contract-1core-0.json").exists()


def test_a_stage_before_its_input_says_what_to_run_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.benchmarks.data_plane.sides import Work, ours, window

    monkeypatch.setenv("DAYBREAK_STATE", str(tmp_path / "state"))
    work = Work(tmp_path, tmp_path / "out", tmp_path, 1)
    with pytest.raises(FileNotFoundError, match="examples reads what contract wrote, .*: run contract first"):
        ours.prepare("examples", work)
    assert ours.beam_args(2) == [*ours.BEAM_ARGS, "--row_group_threads=2"]
    write_log(tmp_path, rows=10)
    with pytest.raises(FileNotFoundError, match="which is not in .*: run `first` first"):
        window.prepare("next", work)


def test_the_benchmark_pipeline_has_the_columns_of_the_log() -> None:
    from pipelines.spec import load_spec
    from tests.benchmarks.data_plane.columns import LABEL, SLICED, SPLITS, TIME, USER
    from tests.benchmarks.data_plane.log import log_schema
    from tests.benchmarks.data_plane.sides import ours

    spec = load_spec(ours.NAME)
    types = {"int64": "int", "float": "float", "string": "string"}
    assert {name: str(kind) for name, kind in spec.data.columns.items()} == {
        field.name: types[str(field.type)] for field in log_schema()
    }
    assert (spec.data.label, spec.data.split_key, dict(spec.data.splits)) == (LABEL, USER, SPLITS)
    assert spec.evaluate.slices == ((SLICED,),)
    schema = ours.schema_of(spec)
    assert [feature.name for feature in schema.feature if feature.presence.min_fraction] == [LABEL, USER, TIME]
