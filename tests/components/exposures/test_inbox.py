"""Files of outcomes are taken over whole and once, or refused with the reason."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.exposures import __main__ as command
from components.exposures import inbox
from components.exposures.inbox import import_file, import_inbox
from components.exposures.reading import row_groups, rows
from components.exposures.schema import OUTCOMES
from pipelines.errors import DataError
from tests.components.exposures.conftest import NOON, ids

ROW = {"outcome_id": "o1", "decision_id": "d1", "name": "revenue", "value": 2.5, "time": NOON}


def lines(path: Path, *rows: dict[str, object]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_each_format_gives_the_same_outcomes(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"purchases{suffix}"
    if suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist([ROW]), path)
    elif suffix == ".csv":
        path.write_text(",".join(ROW) + "\n" + ",".join(map(str, ROW.values())) + "\n")
    else:
        lines(path, ROW)

    assert import_file(path, tmp_path / "log") == 1
    (file,) = (tmp_path / "log").glob("outcomes/day=2026-01-05/*.parquet")
    table = pq.read_table(file, partitioning=None)
    assert table.schema.equals(OUTCOMES)
    (found,) = table.to_pylist()
    assert found.pop("received") > NOON
    assert found == {**ROW, "item_id": ""}


def test_a_file_is_taken_over_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = lines(tmp_path / "a.jsonl", {**ROW, "received": NOON, "item_id": "i1"})
    log = tmp_path / "log"

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(inbox, "by_day", killed)
        with pytest.raises(KeyboardInterrupt):
            import_file(path, log)
    assert import_file(path, log) == 1
    assert import_file(path, log) == 0
    assert ids(log, "outcomes") == ["o1"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"value": "much"}, "cannot be read"),
        ({"value": None}, r"finite number. Wrong in row 2"),
        ({"time": NOON // 1_000_000}, "microseconds since 1970. Wrong in row 2"),
        ({"outcome_id": ""}, "must be given. Wrong in row 2"),
        ({"decision_id": None}, "must be given. Wrong in row 2"),
        ({"price": 3}, "cannot be read"),
    ],
    ids=lambda found: next(iter(found)) if isinstance(found, dict) else "",
)
def test_a_wrong_row_refuses_the_file(change: dict[str, object], message: str, tmp_path: Path) -> None:
    path = lines(tmp_path / "a.jsonl", ROW, {**ROW, **change})

    with pytest.raises(DataError, match=message):
        import_file(path, tmp_path / "log")
    assert not list((tmp_path / "log").glob("outcomes/*"))


def test_missing_columns_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("outcome_id,price\no1,3\n")

    with pytest.raises(DataError, match="Missing or unknown: decision_id, name, time, value, price"):
        import_file(path, tmp_path / "log")


def test_the_inbox_is_emptied_and_what_is_refused_says_why(tmp_path: Path) -> None:
    lines(tmp_path / "inbox" / "good.jsonl", ROW)
    lines(tmp_path / "inbox" / "bad.jsonl", {**ROW, "value": None})
    (tmp_path / "inbox" / "notes.txt").write_text("hello")
    (tmp_path / "inbox" / ".coming.jsonl").write_text("{")

    refused = import_inbox(tmp_path)

    assert sorted(refused) == ["bad.jsonl", "notes.txt"]
    assert ids(tmp_path, "outcomes") == ["o1"]
    assert sorted(path.name for path in (tmp_path / "inbox").iterdir()) == [
        ".coming.jsonl",
        ".lock",
        ".taken",
        "refused",
    ]
    assert "finite number" in (tmp_path / "inbox" / "refused" / "bad.jsonl.txt").read_text()


def test_the_command_imports_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = lines(tmp_path / "a.jsonl", ROW)

    assert command.main(["import", str(path), "--log", str(tmp_path / "log")]) == 0
    assert "1 outcomes taken over" in capsys.readouterr().out
    assert command.main(["import", str(tmp_path / "none.csv"), "--log", str(tmp_path / "log")]) == DataError.exit_code
    assert "none.csv" in capsys.readouterr().err


def test_each_id_is_read_once_and_damage_is_said(tmp_path: Path) -> None:
    for name in ("a", "b"):
        import_file(
            lines(tmp_path / f"{name}.jsonl", {**ROW, "value": len(name)}, {**ROW, "outcome_id": name}), tmp_path
        )
    import datetime

    days = [datetime.date(2026, 1, 5)]
    assert sorted(ids(tmp_path, "outcomes")) == ["a", "b", "o1"]
    (tmp_path / "outcomes/day=2026-01-05/broken.parquet").write_bytes(b"PAR1")
    groups, unreadable = row_groups(tmp_path, "outcomes", days)
    assert (len(groups), [path.name for path in unreadable]) == (2, ["broken.parquet"])
    with pytest.raises(DataError, match="cannot be read"):
        list(rows(tmp_path, "outcomes", days))
