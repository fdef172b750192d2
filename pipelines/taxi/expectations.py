"""What a day of taxi trips must look like before anything is learned from it."""

from __future__ import annotations

from great_expectations import expectations as gxe
from great_expectations.expectations.expectation import Expectation


def expectations() -> list[Expectation]:
    """Row-level ones send a row to quarantine; the others refuse the day."""
    return [
        gxe.ExpectColumnValuesToBeBetween(column="fare", min_value=0, max_value=10_000),
        gxe.ExpectColumnValuesToBeBetween(column="tips", min_value=0, max_value=5_000),
        gxe.ExpectColumnValuesToBeBetween(column="trip_miles", min_value=0, max_value=5_000),
        gxe.ExpectColumnValuesToBeBetween(column="trip_seconds", min_value=0, max_value=86_400),
        gxe.ExpectColumnValuesToBeBetween(column="trip_start_hour", min_value=0, max_value=23),
        gxe.ExpectColumnValuesToBeBetween(column="trip_start_day", min_value=1, max_value=7),
        gxe.ExpectColumnValuesToBeBetween(column="trip_start_month", min_value=1, max_value=12),
        gxe.ExpectColumnMeanToBeBetween(column="fare", min_value=5, max_value=30),
    ]
