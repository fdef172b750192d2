"""Runs one node of a compiled pipeline through TFX's portable launcher.

    python -m pipelines.node run --manifest shop.json --node train --run-id shop-2026-01-05-1a2b3c4d --day 2026-01-05
    python -m pipelines.node run-all --manifest shop.json --run-id … --day 2026-01-05 --set rows_limit=1000
    python -m pipelines.node conclude --manifest shop.json --run-id … --day 2026-01-05 --reason "budget spent"

The exit code says whether a retry can help (`pipelines.errors`); 128 + n when signal n ended the node. A try leaves
one execution in ML Metadata, one outcome file (`pipelines.outcome`), and never half an artifact.
"""
