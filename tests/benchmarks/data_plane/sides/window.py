"""Our nodes on the data day of a window of seven days, and on the same day alone.

`first` fills an empty day store with days 1 to 7; `next` begins with what it left, and takes day 8 in. `_applied` has the
application of the transform graph, which every day of a window needs, since its vocabularies have changed.
"""

from __future__ import annotations

import datetime
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from components.transform.executor import TransformExecutor
from pipelines.settings import Settings
from pipelines.spec import Spec, load_spec
from tests.benchmarks.data_plane.log import DAY, parquet_file, write_days
from tests.benchmarks.data_plane.nodes import prepare_node
from tests.benchmarks.data_plane.sides import Work
from tests.benchmarks.data_plane.sides.ours import NAME, assembled, beam_args, write_given

WINDOW_DAYS = 7
LAST = datetime.date.fromisoformat(DAY)
DAYS = [str(LAST - datetime.timedelta(days=age)) for age in reversed(range(WINDOW_DAYS + 1))]
CHAIN = ("contract", "examples", "statistics", "transform")


class AnalysisOnly(TransformExecutor):
    def _apply(self, *_: Any, **__: Any) -> None:
        pass


def prepare(stage: str, work: Work) -> Callable[[], None]:
    data, folder = work.data / "window", work.folder / stage
    write_days(data, DAYS, rows=pq.read_metadata(parquet_file(work.data)).num_rows)
    os.environ["DAYBREAK_STATE"] = str(folder / "state")
    if stage.startswith("next"):
        _continue(_store_of(work.folder / "first"), _store_of(folder))
    write_given(folder)
    spec = load_spec(NAME)
    nodes = assembled(data, spec if stage.startswith("one_day") else _of_window(spec))
    day = DAYS[-2] if stage == "first" else DAYS[-1]
    instead = {} if stage.endswith("_applied") else {"transform": AnalysisOnly}

    def run() -> None:
        for name in CHAIN:
            prepare_node(
                nodes[name],
                folder,
                beam_args(work.cores),
                parameters={"day": day},
                executor_class=instead.get(name),
            )()

    return run


def _of_window(spec: Spec) -> Spec:
    source = spec.data.source.model_copy(update={"window_days": WINDOW_DAYS})
    return spec.model_copy(update={"data": spec.data.model_copy(update={"source": source})})


def _store_of(folder: Path) -> Path:
    return Settings(home=folder, state=folder / "state").artifacts / NAME


def _continue(before: Path, now: Path) -> None:
    """Links, as a store grows: the first one is needed again."""
    if not before.exists():
        raise FileNotFoundError(f"`next` goes on from what `first` left, which is not in {before}: run `first` first")
    shutil.copytree(before, now, copy_function=os.link)
