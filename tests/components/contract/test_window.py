from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from components.contract import window
from components.days.listing import Days
from components.decision.report import Verdict
from pipelines.errors import DataError, TransientError
from tests.components.contract.running import DAY, Result, changed, data, rows, run, write_parquet

BEFORE = "2026-01-04"


def of_two_days(folder: Path, name: str = "out", **options: int) -> Result:
    return run(folder / name, data(folder, source={"window_days": 2}), **options)


def days_of(result: Result) -> list[str]:
    listed = Days.read(Path(result.outputs["rows"].uri))
    assert listed is not None
    return [day.day for day in listed.days]


def test_the_verdict_is_on_the_data_day(tmp_path: Path) -> None:
    write_parquet(tmp_path, rows(9), day=DAY)
    write_parquet(tmp_path, rows(100), day=BEFORE)
    result = of_two_days(tmp_path)
    assert result.refusals == ["rows"] and "9 rows fulfil" in result.check("rows").reason
    assert result.check("earlier days of the window").reason == "100 rows of 1 earlier days"


def test_few_rows_of_an_earlier_day_are_used(tmp_path: Path) -> None:
    write_parquet(tmp_path, rows(100), day=DAY)
    write_parquet(tmp_path, rows(3), day=BEFORE)
    assert of_two_days(tmp_path).outputs["rows"].row_count == 103


@pytest.mark.parametrize(("broken", "why"), [(dict.fromkeys(range(30)), "30 of 100 rows"), ({0: 1e9, 1: 1e9}, "")])
def test_an_earlier_day_that_its_contract_refuses_is_left_out_unless_forced(
    tmp_path: Path, expect: Callable[[str], None], broken: dict[int, float | None], why: str
) -> None:
    expect(
        "from great_expectations import expectations as gxe\n"
        "def expectations():\n"
        "    return [gxe.ExpectColumnMaxToBeBetween(column='price', max_value=1000)]\n"
    )
    write_parquet(tmp_path, rows(100), day=DAY)
    write_parquet(tmp_path, changed("price", broken), day=BEFORE)
    result = of_two_days(tmp_path)
    assert result.report.verdict is Verdict.ACCEPTED
    assert days_of(result) == [DAY]
    left_out = result.check("days of the window left out")
    assert left_out.reason.startswith(f"refused, so their rows are not used: {BEFORE} (") and why in left_out.reason
    assert days_of(of_two_days(tmp_path, "forced", force=1)) == [BEFORE, DAY]


def test_an_earlier_day_without_rows_is_missing(tmp_path: Path) -> None:
    write_parquet(tmp_path, rows(100), day=DAY)
    write_parquet(tmp_path, rows(0), day=BEFORE)
    result = of_two_days(tmp_path)
    assert BEFORE in result.check("days of the window without files").reason and days_of(result) == [DAY]


def test_a_data_day_without_rows_is_an_error_also_in_a_window(tmp_path: Path) -> None:
    write_parquet(tmp_path, rows(0), day=DAY)
    write_parquet(tmp_path, rows(100), day=BEFORE)
    with pytest.raises(DataError, match="no rows in"):
        of_two_days(tmp_path)


def test_each_day_has_its_quarantine_and_rows_repeat_within_a_day_only(tmp_path: Path) -> None:
    write_parquet(tmp_path, changed("price", {3: None}), day=DAY)
    write_parquet(tmp_path, changed("price", {4: None, 5: None}), day=BEFORE)
    result = of_two_days(tmp_path)
    assert [row["item"] for row in result.quarantine] == ["3"]
    earlier = Path(result.outputs["quarantine"].uri) / f"quarantine-{BEFORE}.parquet"
    assert pq.read_table(earlier)["item"].to_pylist() == ["4", "5"]
    assert result.outputs["quarantine"].row_count == 3 and result.outputs["rows"].row_count == 197


def test_a_limit_of_rows_is_shared_by_the_days(tmp_path: Path) -> None:
    for day in (DAY, BEFORE):
        write_parquet(tmp_path, rows(100), day=day)
    assert of_two_days(tmp_path, rows_limit=20).rows["item"].to_pylist() == [*range(10), *range(10)]


def test_other_bounds_and_splits_judge_nothing_again_and_other_expectations_do(
    tmp_path: Path, expect: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    write_parquet(tmp_path, changed("price", {3: None}), day=DAY)
    write_parquet(tmp_path, rows(100), day=BEFORE)
    source = {"window_days": 2}
    run(tmp_path / "one", data(tmp_path, source=source))
    assert "2 days, 2 of them judged now" in capsys.readouterr().out
    strict = run(tmp_path / "two", data(tmp_path, source=source, max_quarantined=0.001, splits={"train": 1, "eval": 1}))
    assert strict.refusals == ["quarantined share"]
    assert "2 days, 0 of them judged now" in capsys.readouterr().out
    expect("def expectations():\n    return []\n")
    run(tmp_path / "three", data(tmp_path, source=source))
    assert "2 days, 2 of them judged now" in capsys.readouterr().out


def test_files_that_change_while_they_are_read_are_kept_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_parquet(tmp_path, rows(100), day=DAY)
    judge_into = window.judge_into

    def judge_while_written(*arguments: object, **options: object) -> object:
        found = judge_into(*arguments, **options)  # type: ignore[arg-type]
        write_parquet(tmp_path, rows(50), day=DAY)
        return found

    monkeypatch.setattr(window, "judge_into", judge_while_written)
    with pytest.raises(TransientError, match=f"the files of {DAY} must not change"):
        of_two_days(tmp_path)
    monkeypatch.undo()
    monkeypatch.setenv("DAYBREAK_STATE", str(tmp_path / "state"))
    assert of_two_days(tmp_path, "again").outputs["rows"].row_count == 50
