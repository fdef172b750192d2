"""Days read from a real PostgreSQL."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

from components.contract import query
from components.contract.source import source_fingerprint
from pipelines.errors import DataError, DaybreakError, SpecError, TransientError
from pipelines.manifest import Manifest
from tests.components.contract.running import DAY, data, rows, run, write_parquet
from tests.postgres import Server, postgres_server

VARIABLE = "DAYBREAK_TEST_SHOP_URL"
QUERY = "SELECT \"user\", item, price, new, query, clicked FROM clicks WHERE day = '{day}' ORDER BY item"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with postgres_server() as started:
        yield started


@pytest.fixture
def url(server: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database with the rows of the day, and one of the day before."""
    found = server.new_database()
    monkeypatch.setenv(VARIABLE, found)
    execute(
        found,
        'CREATE TABLE clicks (day date, "user" text, item bigint, price numeric, new boolean, query text, clicked integer)',
    )
    made = rows()
    insert(found, DAY, *(dict(zip(made, values, strict=True)) for values in zip(*made.values(), strict=True)))
    insert(found, "2026-01-04", {"user": "u1", "item": -1, "price": 1.5, "new": True, "query": "", "clicked": 0})
    return found


def execute(url: str, statement: str, values: Sequence[dict[str, Any]] = ()) -> None:
    engine = sqlalchemy.create_engine(url.replace("postgresql:", "postgresql+psycopg2:"))
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text(statement), values or None)
    engine.dispose()


def insert(url: str, day: str, *rows: dict[str, Any]) -> None:
    execute(
        url,
        "INSERT INTO clicks VALUES (:day, :user, :item, :price, :new, :query, :clicked)",
        [row | {"day": datetime.date.fromisoformat(day)} for row in rows],
    )


def sql_data(text: str = QUERY, **changes: Any) -> dict[str, Any]:
    source = {"format": "sql", "query": text, "url_env": VARIABLE} | changes.pop("source", {})
    made = data(Path(), **changes)
    made["source"] = source
    return made


def test_the_same_rows_as_a_parquet(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query, "_ROWS", 30)
    write_parquet(tmp_path, rows())
    expected = run(tmp_path / "parquet", data(tmp_path))
    found = run(tmp_path / "sql", sql_data(QUERY + ";\n"))
    assert found.rows_file.read_bytes() == expected.rows_file.read_bytes()


def test_types_that_a_file_does_not_have(tmp_path: Path, url: str) -> None:
    text = (
        "SELECT item, price, 'u' || item AS \"user\", new::text AS new, clicked, NULL AS query, ARRAY['a', ''] AS tags, "
        "timestamptz '2026-01-05 10:30:00+00' AS seen FROM clicks WHERE day = '{day}' AND 10 % 3 = 1"
    )
    columns = {"user": "string", "item": "int", "price": "float", "new": "bool", "clicked": "int", "tags": "strings", "seen": "string"}  # fmt: skip
    row = run(tmp_path / "out", sql_data(text, columns=columns)).rows.slice(0, 1).to_pylist()[0]
    assert row["tags"] == ["a", ""] and row["seen"] == "2026-01-05 10:30:00+00:00" and row["new"] is True


def test_a_window_asks_for_every_day(tmp_path: Path, url: str) -> None:
    result = run(tmp_path / "out", sql_data(source={"window_days": 3}))
    assert result.rows["item"].to_pylist() == [-1, *range(100)]
    assert result.rows["query"][0].as_py() == ""


def test_bad_rows_go_to_quarantine(tmp_path: Path, url: str) -> None:
    insert(url, DAY, {"user": None, "item": 500, "price": 1, "new": None, "query": "x", "clicked": 0})
    insert(url, DAY, {name: values[3] for name, values in rows().items()})
    result = run(tmp_path / "out", sql_data())
    assert sorted(result.reasons) == ["the same as an earlier row", "user: missing"]


def test_a_day_without_rows(tmp_path: Path, url: str) -> None:
    with pytest.raises(DataError, match="no data of 2026-01-03"):
        run(tmp_path / "out", sql_data(), day="2026-01-03")


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("SELECT nothing FROM clicks WHERE day = '{day}'", SpecError, "nothing"),
        ("SELECT FROM WHERE '{day}'", SpecError, "syntax"),
        ("SELECT item FROM clicks WHERE day = '{day}'", DataError, "columns are missing: 'user'"),
    ],
)
def test_a_wrong_query(tmp_path: Path, url: str, text: str, error: type[DaybreakError], message: str) -> None:
    with pytest.raises(error, match=message):
        run(tmp_path / "out", sql_data(text))
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def test_a_database_that_does_not_answer_is_worth_a_retry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, f"postgresql://reader:secret-word@/shop?host={tmp_path}")
    with pytest.raises(TransientError, match=f"database of `{VARIABLE}` does not answer") as raised:
        run(tmp_path / "out", sql_data())
    assert "secret-word" not in str(raised.value) and raised.value.__suppress_context__


@pytest.mark.parametrize("url", [None, "no url: secret-word", "nosuchdatabase://u:secret-word@h/d"])
def test_a_variable_without_a_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str | None) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    if url:
        monkeypatch.setenv(VARIABLE, url)
    with pytest.raises(SpecError, match=VARIABLE) as raised:
        run(tmp_path / "out", sql_data())
    assert "secret-word" not in str(raised.value)


def test_the_password_is_written_nowhere(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(VARIABLE, url.replace("@/", ":secret-word@/", 1))
    run(tmp_path / "out", sql_data())
    with pytest.raises(DaybreakError) as raised:
        run(tmp_path / "bad", sql_data("SELECT 'secret-word'::integer AS item WHERE '{day}' <> ''"))
    assert "secret-word" not in str(raised.value)
    captured = capfd.readouterr()
    assert "secret-word" not in captured.out + captured.err
    for path in (path for path in tmp_path.rglob("*") if path.is_file()):
        assert b"secret-word" not in path.read_bytes()


def fingerprint(**source: str) -> str:
    manifest = Manifest(
        pipeline="shop", ir="shop.ir.json", ir_digest="", spec={"data": sql_data(source=source)}, nodes=()
    )
    return source_fingerprint(manifest, {"day": DAY})


def test_the_fingerprint_follows_the_version_query(url: str) -> None:
    version = "SELECT count(*), max(item) FROM clicks WHERE day = '{day}'"
    before = fingerprint(version_query=version)
    assert fingerprint(version_query=version) == before
    insert(url, "2026-01-04", {"user": "u", "item": 1, "price": 1, "new": None, "query": None, "clicked": 0})
    assert fingerprint(version_query=version) == before
    insert(url, DAY, {"user": "u", "item": 1000, "price": 1, "new": None, "query": None, "clicked": 0})
    assert fingerprint(version_query=version) != before


def test_without_a_version_query_nothing_is_reused(url: str) -> None:
    assert fingerprint() != fingerprint()
