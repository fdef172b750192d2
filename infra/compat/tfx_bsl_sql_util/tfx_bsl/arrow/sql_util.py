"""Stands in for the SQL slicing that tfx-bsl 1.21 removed; TFDV 1.16.1 imports it and uses it for SQL slices only."""


class RecordBatchSQLSliceQuery:
    """Refuses: slice statistics by feature values (`tfdv.SliceSpec`) instead of by a SQL query."""

    def __init__(self, sql: str, schema: object) -> None:
        del schema
        raise NotImplementedError(
            f"SQL slices need a tfx-bsl older than 1.21. Received: sql={sql!r}\n"
            "  Fix: slice by feature values (`slicing_specs` without SQL)."
        )
