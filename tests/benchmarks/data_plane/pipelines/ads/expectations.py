"""Bounds on five numbers, the values of one category, a mean and an order of magnitude."""

from __future__ import annotations

from great_expectations import expectations as gxe
from great_expectations.expectations.expectation import Expectation


def expectations() -> list[Expectation]:
    """Row-level ones send a row to quarantine; the others refuse the day."""
    return [
        gxe.ExpectColumnValuesToBeBetween(column="n02", min_value=0, max_value=1e6),
        gxe.ExpectColumnValuesToBeBetween(column="n05", min_value=0, max_value=1e9),
        gxe.ExpectColumnValuesToBeBetween(column="n09", min_value=0, max_value=1e7),
        gxe.ExpectColumnValuesToBeBetween(column="n12", min_value=0, max_value=1e5),
        gxe.ExpectColumnValuesToBeBetween(column="n13", min_value=0, max_value=1e7),
        gxe.ExpectColumnValueLengthsToEqual(column="c01", value=8),
        gxe.ExpectColumnMeanToBeBetween(column="clicked", min_value=0.05, max_value=0.6),
        gxe.ExpectColumnUniqueValueCountToBeBetween(column="c09", min_value=3, max_value=3),
    ]
