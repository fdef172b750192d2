"""The data stages on a Criteo-shaped log, against stock TFX, Polars and DuckDB."""
