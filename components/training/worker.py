"""One training process: `python -m components.training.worker JOB_FILE SUPERVISOR_PID`, started by `launch`.

Its place among the workers is in `TF_CONFIG`. It dies with its supervisor.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from pathlib import Path

from components.processes import die_with
from components.training.job import Job
from components.training.worker_failure import write_failure
from pipelines.errors import DaybreakError, TransientError, UserCodeError

# The chief hosts the coordination service: it leaves last, or the others would fail on their way out.
_LEAVE_SECS = 30.0


def main(job_file: str, supervisor: str) -> int:
    die_with(int(supervisor))
    job = Job.read(Path(job_file))
    # TensorFlow comes after the death signal is set, since importing it takes seconds.
    from components.training.interruption import interruptible
    from components.training.strategy import rank

    logs = job.folder / "workers"
    with interruptible() as request:
        try:
            from components.training.loop import train
            from components.training.strategy import create_strategy

            train(job, strategy=create_strategy(job.train), request=request, chief=rank() == 0)
        except DaybreakError as error:
            return _fail(logs, rank(), error)
        except Exception as error:  # noqa: BLE001  # whatever it was, the other processes must be told
            return _fail(logs, rank(), _wrap(error, job))
    _leave_together(logs, rank())
    return 0


def _wrap(error: Exception, job: Job) -> DaybreakError:
    import tensorflow as tf

    message = f"{type(error).__name__}: {error}"
    if isinstance(error, tf.errors.OpError):
        return TransientError(message, fix="the workers restart from the checkpoint", place=job.place)
    return UserCodeError(message, fix="see the traceback in the worker's log", place=job.place)


def _fail(logs: Path, rank: int, error: DaybreakError) -> int:
    traceback.print_exc()
    write_failure(logs, rank, error)
    return error.exit_code


def _leave_together(logs: Path, rank: int) -> None:
    (logs / f"left-{rank}.json").write_text("{}")
    size = len(json.loads(os.environ.get("TF_CONFIG") or "{}").get("cluster", {}).get("worker", [""]))
    end = time.monotonic() + _LEAVE_SECS
    while rank == 0 and time.monotonic() < end and any(not (logs / f"left-{i}.json").exists() for i in range(size)):
        time.sleep(0.05)


if __name__ == "__main__":
    code = main(*sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    # Without TensorFlow's own shutdown, which waits for peers that may be gone.
    os._exit(code)
