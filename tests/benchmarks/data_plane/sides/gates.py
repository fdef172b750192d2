"""What gates do with a day: the evaluation of a candidate and a champion, beside no more than scoring; off-policy resamples.

Every row of the day is an eval row here. Candidate and champion are two copies of one model.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from tfx.types import Artifact, standard_artifacts
from tfx.utils import path_utils

from components.evaluation.executor import EvaluateExecutor
from components.evaluation.scoring import BATCH_ROWS, Model, take_rows
from components.examples.records import RowGroup, read, row_groups
from components.inference.off_policy import Logged, delta, estimate, row_values
from components.inference.resampling import bootstrap
from components.inference.units import merge_units, sum_by_unit
from components.transform.graph import input_config
from components.transform.tensors import BatchAdapter
from pipelines.spec import load_spec
from tests.benchmarks.data_plane.nodes import prepare_node, write_artifacts
from tests.benchmarks.data_plane.sides import Work
from tests.benchmarks.data_plane.sides.ours import NAME, assembled, beam_args, borrow, schema_of, write_given

LOGGED_ROWS, USERS, CHUNK_ROWS = 1_000_000, 100_000, 65_536
RESAMPLES = 1000


def prepare(stage: str, work: Work) -> Callable[[], None]:
    if stage == "off_policy":
        return _resample
    write_given(work.folder)
    borrow("train", work)
    borrow("transform", work)
    examples, models = _all_rows(work), _two_models(work)
    if stage == "plain":
        return partial(_score, examples, models, work.cores)
    node = assembled(work.data)["evaluate"]
    return prepare_node(node, work.folder, beam_args(work.cores), executor_class=EvaluateExecutor)


def _all_rows(work: Work) -> Path:
    """The day that the side `ours` split, as one eval split."""
    source, target = work.folder.parent / "ours" / "examples" / "examples", work.folder / "examples" / "examples"
    if not target.exists():
        found = sorted(source.glob("Split-*/*.parquet"))
        (target / "Split-eval").mkdir(parents=True)
        for index, path in enumerate(found):
            os.link(path, target / "Split-eval" / f"data-{index:05d}-of-{len(found):05d}.parquet")
    artifact = standard_artifacts.Examples()
    artifact.uri = str(target)
    write_artifacts(work.folder, "examples", {"examples": [artifact]})
    return target


def _two_models(work: Work) -> list[Path]:
    candidate = work.model / "train" / "model"
    champion = work.folder / "champion" / "model"
    shutil.copytree(candidate, champion, dirs_exist_ok=True)
    artifact: Artifact = standard_artifacts.Model()
    artifact.uri = str(champion)
    artifact.set_string_custom_property("version", "1")
    statistics = standard_artifacts.ExampleStatistics()
    write_artifacts(work.folder, "champion", {"model": [artifact], "statistics": [statistics]})
    return [Path(path_utils.serving_model_path(str(folder))) for folder in (candidate, champion)]


def _score(examples: Path, paths: list[Path], cores: int) -> None:
    """Both models on every row, in batches as large as the evaluation's, and nothing else."""
    config = input_config(schema_of(load_spec(NAME)))
    adapter, models, names = BatchAdapter(config), [Model(path) for path in paths], config.arrow_schema.names

    def score(group: RowGroup) -> None:
        batch = read(group, names, encoded=True)
        tensors = adapter(batch)
        for start in range(0, batch.num_rows, BATCH_ROWS):
            stop = min(start + BATCH_ROWS, batch.num_rows)
            part = {name: take_rows(tensor, start, stop) for name, tensor in tensors.items()}
            for model in models:
                model(part, batch.slice(start, stop - start))

    with ThreadPoolExecutor(cores) as pool:
        list(pool.map(score, row_groups(examples, "eval")))


def _resample() -> None:
    """A log in chunks, to an interval of the change."""
    random, parts = np.random.default_rng(3), []
    for _ in range(LOGGED_ROWS // CHUNK_ROWS + 1):
        propensity, probability = random.uniform(0.05, 1, (2, CHUNK_ROWS))
        reward = (random.random(CHUNK_ROWS) < 0.1).astype(np.float64)
        logged = Logged(reward=reward, propensity=propensity, probability=probability, reference=propensity)
        users = random.integers(0, USERS, CHUNK_ROWS).astype(np.uint64)
        parts.append(sum_by_unit(users, row_values(logged)))
    sums = merge_units(parts)
    resampled, analytic = bootstrap(sums, delta, seed=7, resamples=RESAMPLES), estimate(sums, delta)
    assert abs(resampled.error / analytic.error - 1) < 0.1
