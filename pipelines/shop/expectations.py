"""What a day of the shop must look like before anything is learned from it."""

from __future__ import annotations

from great_expectations import expectations as gxe
from great_expectations.expectations.expectation import Expectation

from pipelines.shop.world import CATEGORIES, COUNTRIES, DEVICES, POSITIONS


def expectations() -> list[Expectation]:
    """Row-level ones send a row to quarantine; the others refuse the day."""
    return [
        gxe.ExpectColumnValuesToBeBetween(column="price", min_value=0.01, max_value=10_000),
        gxe.ExpectColumnValuesToBeBetween(column="position", min_value=0, max_value=POSITIONS - 1),
        gxe.ExpectColumnValuesToBeBetween(column="hour", min_value=0, max_value=23),
        # An impression without its exact propensity is lost for every later comparison of policies.
        gxe.ExpectColumnValuesToBeBetween(column="propensity", min_value=0, max_value=1, strict_min=True),
        gxe.ExpectColumnValuesToBeInSet(column="clicked", value_set=[0, 1]),
        gxe.ExpectColumnValuesToBeInSet(column="category", value_set=list(CATEGORIES)),
        gxe.ExpectColumnValuesToBeInSet(column="country", value_set=list(COUNTRIES)),
        gxe.ExpectColumnValuesToBeInSet(column="device", value_set=list(DEVICES)),
        gxe.ExpectColumnValuesToMatchRegex(column="user_id", regex=r"^u\d+$"),
        gxe.ExpectColumnValuesToMatchRegex(column="item_id", regex=r"^i\d+$"),
        gxe.ExpectColumnMeanToBeBetween(column="clicked", min_value=0.02, max_value=0.3),
        gxe.ExpectColumnUniqueValueCountToBeBetween(column="category", min_value=5),
    ]
