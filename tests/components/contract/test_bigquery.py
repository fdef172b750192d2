"""Google's client against a loopback server: requests, pages, types and errors. BigQuery itself was never asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from components.contract import bigquery
from components.contract.source import source_fingerprint
from pipelines.errors import DataError, SpecError, TransientError
from pipelines.manifest import Manifest
from tests.components.contract.bigquery_server import BYTES_OF_A_QUERY, BigQueryServer
from tests.components.contract.running import DAY, data, rows, run, write_parquet

QUERY = "SELECT * EXCLUDE (day) FROM clicks WHERE day = '{day}' ORDER BY item"


@pytest.fixture
def database() -> duckdb.DuckDBPyConnection:
    clicks = pa.table({**rows(), "day": [DAY] * 100})
    connection = duckdb.connect()
    connection.register("given", clicks)
    connection.execute("CREATE TABLE clicks AS SELECT * FROM given")
    return connection


@pytest.fixture
def server(database: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch) -> Iterator[BigQueryServer]:
    with BigQueryServer(database) as started:
        monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", started.url)
        monkeypatch.setenv("DAYBREAK_TEST_PROJECT", "who-pays")
        monkeypatch.setattr(bigquery, "_RETRY_SECS", 1)
        yield started


def query_data(text: str = QUERY, **changes: Any) -> dict[str, Any]:
    source = {"format": "bigquery", "query": text, "project": "${DAYBREAK_TEST_PROJECT}"} | changes.pop("source", {})
    made = data(Path(), **changes)
    made["source"] = source
    return made


def test_the_same_rows_as_a_parquet_page_by_page(tmp_path: Path, server: BigQueryServer) -> None:
    write_parquet(tmp_path, rows())
    expected = run(tmp_path / "parquet", data(tmp_path))
    found = run(tmp_path / "bigquery", query_data())
    assert found.rows_file.read_bytes() == expected.rows_file.read_bytes()
    assert found.check("bytes that the query reads").observed == BYTES_OF_A_QUERY
    assert server.projects == {"who-pays"}


def test_the_price_is_asked_first_and_bounded_again_by_bigquery(tmp_path: Path, server: BigQueryServer) -> None:
    run(tmp_path / "out", query_data(source={"max_bytes_billed": 20_000}))
    dry, real = server.requests
    assert dry["configuration"]["dryRun"] is True
    assert dry["configuration"]["query"]["query"] == QUERY.replace("{day}", DAY) == real["query"]
    assert real["maximumBytesBilled"] == "20000" and "dryRun" not in real

    server.requests.clear()
    with pytest.raises(SpecError, match="at most 12,344 bytes. Received: 12,345 bytes") as caught:
        run(tmp_path / "dear", query_data(source={"max_bytes_billed": 12_344}))
    assert "`data.source.max_bytes_billed`" in caught.value.fix
    assert [list(request) for request in server.requests] == [list(dry)]


def test_types_that_a_file_does_not_have(tmp_path: Path, server: BigQueryServer) -> None:
    text = (
        "SELECT 'u' || item AS \"user\", item, price::DECIMAL(38,9) AS price, clicked, ['a', ''] AS tags, "
        "'\\x00\\xFF'::BLOB AS raw, DATE '2026-01-05' AS seen, {'a': 1} AS place FROM clicks WHERE day = '{day}'"
    )
    columns = {"user": "string", "item": "int", "price": "float", "clicked": "int", "tags": "strings", "seen": "string"}
    result = run(tmp_path / "out", query_data(text, columns=columns))
    row = result.rows.slice(0, 1).to_pylist()[0]
    assert row["tags"] == ["a", ""] and row["seen"] == "2026-01-05" and row["price"] == 10.0
    assert "dropped: place, raw" in result.check("columns not declared").reason


def test_a_window_asks_for_every_day(tmp_path: Path, server: BigQueryServer) -> None:
    result = run(tmp_path / "out", query_data(source={"window_days": 2}))
    assert result.rows.num_rows == 100
    asked = [request["query"] for request in server.requests if "query" in request]
    assert asked == [QUERY.replace("{day}", day) for day in ("2026-01-04", DAY)]


def test_a_wrong_query_an_empty_day_and_a_server_that_is_gone(
    tmp_path: Path, server: BigQueryServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SpecError, match="BigQuery refuses the query: .*Table with name nothing does not exist"):
        run(tmp_path / "wrong", query_data("SELECT * FROM nothing WHERE day = '{day}'"))
    with pytest.raises(DataError, match="there is no data of 2026-01-04: the query gives no row"):
        run(tmp_path / "empty", query_data(), day="2026-01-04")
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", "http://127.0.0.1:1")
    with pytest.raises(TransientError, match="BigQuery does not answer"):
        run(tmp_path / "gone", query_data())


def test_without_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BIGQUERY_EMULATOR_HOST", raising=False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    with pytest.raises(SpecError, match="Application Default Credentials") as caught:
        run(tmp_path / "out", query_data(source={"project": "p"}))
    assert "gcloud auth" in caught.value.fix


def test_a_version_query_decides_about_reuse(server: BigQueryServer, database: duckdb.DuckDBPyConnection) -> None:
    def fingerprint(**source: Any) -> str:
        manifest = Manifest(
            pipeline="shop", ir="shop.ir.json", ir_digest="", spec={"data": query_data(source=source)}, nodes=()
        )
        return source_fingerprint(manifest, {"day": DAY})

    version = "SELECT COUNT(*), MAX(item) FROM clicks WHERE day = '{day}'"
    before = fingerprint(version_query=version)
    assert fingerprint(version_query=version) == before
    database.execute("UPDATE clicks SET item = item + 1")
    assert fingerprint(version_query=version) != before
    assert fingerprint() != fingerprint()
