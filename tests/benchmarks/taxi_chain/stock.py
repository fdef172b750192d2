"""One stock run: the taxi pipeline under one of TFX's own runners, in this process.

python -m tests.benchmarks.taxi_chain.stock --runner LocalDagRunner --mode in_memory --folder /tmp/fresh --steps 1000
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

MODES = ("multi_processing", "in_memory")
RUNNERS = ("LocalDagRunner", "BeamDagRunner")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runner", choices=RUNNERS, required=True)
    parser.add_argument("--mode", choices=MODES, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--steps", type=int, required=True)
    arguments = parser.parse_args()
    sys.argv = sys.argv[:1]  # TFX and Beam read it as flags of their own

    from tfx import v1 as tfx

    from tests.benchmarks.taxi_chain import pipeline

    folder: Path = arguments.folder
    built = pipeline.create_pipeline(
        pipeline_root=str(folder / "root"),
        push_folder=str(folder / "pushed"),
        beam_args=pipeline.IN_MEMORY if arguments.mode == "in_memory" else pipeline.MULTI_PROCESSING,
        metadata=tfx.orchestration.metadata.sqlite_metadata_connection_config(str(folder / "metadata.db")),
        train_steps=arguments.steps,
    )
    _runner(arguments.runner).run(built)
    if not list((folder / "pushed").iterdir()):
        raise RuntimeError("no model was pushed: the run is not comparable")
    return 0


def _runner(name: str):  # type: ignore[no-untyped-def]
    if name == "LocalDagRunner":
        from tfx.orchestration.local.local_dag_runner import LocalDagRunner

        return LocalDagRunner()
    from tfx.orchestration.beam.beam_dag_runner import BeamDagRunner

    from tests.benchmarks.taxi_chain.pipeline import IN_MEMORY

    # It runs the graph itself as a Beam pipeline, whose default runner would be fetched from the network.
    return BeamDagRunner(beam_orchestrator_args=IN_MEMORY)


if __name__ == "__main__":
    sys.exit(main())
