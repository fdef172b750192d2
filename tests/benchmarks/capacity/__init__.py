"""From measured slopes to what larger days need: `python -m tests.benchmarks.capacity`."""
