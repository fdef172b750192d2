"""Expectations that cannot be computed name what to correct."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.errors import UserCodeError
from tests.components.contract.bad_input import refused, write_parquet_data
from tests.components.contract.running import rows


def test_expectations_that_raise_name_the_line(tmp_path: Path, expect: Callable[[str], None]) -> None:
    expect("def expectations():\n    return [1 / 0]\n")
    message = refused(tmp_path, write_parquet_data(tmp_path, rows()), UserCodeError)
    assert re.search(r"expectations\.py:2", message) and "ZeroDivisionError" in message


@pytest.mark.parametrize(
    "text",
    [
        "def expectations(:\n",
        "import nowhere_at_all\n",
        "",
        "def expectations():\n    return ['price']\n",
        "def expectations():\n    pass\n",
    ],
)
def test_a_module_without_expectations(tmp_path: Path, expect: Callable[[str], None], text: str) -> None:
    expect(text)
    assert "expectations" in refused(tmp_path, write_parquet_data(tmp_path, rows()), UserCodeError)


@pytest.mark.parametrize(
    "expectation",
    [
        "gxe.ExpectColumnValuesToBeBetween(column='nothing', min_value=0)",
        "gxe.ExpectColumnMeanToBeBetween(column='nothing', min_value=0)",
        "gxe.ExpectColumnMeanToBeBetween(column='user', min_value=0)",
        "gxe.ExpectColumnValuesToMatchRegex(column='user', regex='(')",
    ],
)
def test_an_expectation_that_cannot_be_computed(
    tmp_path: Path, expect: Callable[[str], None], expectation: str
) -> None:
    expect(f"from great_expectations import expectations as gxe\ndef expectations():\n    return [{expectation}]\n")
    message = refused(tmp_path, write_parquet_data(tmp_path, rows()), UserCodeError)
    assert "nothing" in message or "user" in message
