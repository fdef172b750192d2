from __future__ import annotations

import re
from pathlib import Path

import pytest

from components.contract.docs import strip_network
from tests.components.contract.running import changed, data, run, write_parquet


def test_data_docs_load_nothing_from_a_network(tmp_path: Path) -> None:
    write_parquet(tmp_path, changed("price", dict.fromkeys(range(60), -1.0)))
    docs = run(tmp_path / "out", data(tmp_path, max_quarantined=1)).docs
    pages = {path.name: path.read_text(encoding="utf-8") for path in docs.iterdir()}
    assert sorted(pages) == ["day.html", "index.html", "rows.html"]
    for page in pages.values():
        assert not re.search(r"""(?:src|href|data)\s*=\s*["']?\s*(?:https?:)?//""", page, re.IGNORECASE)
        assert "@import" not in page and "<script" not in page and not re.search(r"url\([^)]*//", page)
        assert "unexpected Exception" not in page


def test_pages_show_what_was_expected_and_a_few_examples(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write_parquet(tmp_path, changed("price", {row: -1000.0 - row for row in range(60)}))
    docs = run(tmp_path / "out", data(tmp_path, max_quarantined=1)).docs
    rows = (docs / "rows.html").read_text(encoding="utf-8")
    assert "price" in rows and "1000" in rows and len(rows) < 60_000
    assert "1059" not in rows
    assert "price" in (docs / "day.html").read_text(encoding="utf-8")
    assert "Exception" not in capfd.readouterr().err


def test_the_index_links_the_pages_and_shows_verdict_and_checks(tmp_path: Path) -> None:
    write_parquet(tmp_path, changed("user", dict.fromkeys(range(60))))
    index = (run(tmp_path / "out", data(tmp_path)).docs / "index.html").read_text(encoding="utf-8")
    assert 'href="rows.html"' in index and 'href="day.html"' in index
    assert "refused" in index and "60 of 100 rows" in index and "quarantined share" in index


def test_values_of_the_data_are_escaped(tmp_path: Path) -> None:
    write_parquet(tmp_path, {**changed("price", {}), "<script>alert(1)</script>": [1] * 100})
    index = (run(tmp_path / "out", data(tmp_path)).docs / "index.html").read_text(encoding="utf-8")
    assert "<script>" not in index and "&lt;script&gt;" in index


def test_a_page_that_would_still_load_something_is_an_error() -> None:
    with pytest.raises(ValueError, match="still load"):
        strip_network('<html><head></head><object data="https://example.org/x"></object></html>')
