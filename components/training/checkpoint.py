"""Checkpoints of a training: every variable there is, and where the run of steps stood; one file each.

    checkpoints = Checkpoints(folder, digest=job.digest)
    checkpoints.save(step, arrays, state)
    found = checkpoints.newest()            # None, or the newest that is whole

A file is a zip of arrays with a CRC-32 for each, so that a cut or flipped one is noticed and the one before it is
taken. tf.train.Checkpoint is no help here: it leaves out the state of Keras's seed generators, which dropout draws
from, and a damaged one is not passed over.
"""

from __future__ import annotations

import errno
import json
import os
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from keras.src.random.seed_generator import global_seed_generator  # public Keras has no way to reach it

from pipelines.errors import ResourceError

KEPT = 2
_STATE = "state.json"

Arrays = dict[str, npt.NDArray[Any]]


class Checkpoint(NamedTuple):
    path: Path
    arrays: Arrays
    state: dict[str, Any]


class Checkpoints:
    """The newest `KEPT` checkpoints of one run of steps."""

    def __init__(self, folder: Path, *, digest: str) -> None:
        self._folder, self._digest = folder, digest

    def save(self, step: int, arrays: Mapping[str, npt.NDArray[Any]], state: Mapping[str, Any]) -> Path:
        """Writes atomically, then removes the older ones.

        Raises:
            ResourceError: the disk is full.
        """
        path = self._folder / f"step-{step:012d}.npz"
        write_arrays(path, arrays, {"digest": self._digest, **state})
        for old in self._paths()[KEPT:]:
            old.unlink(missing_ok=True)
        return path

    def newest(self) -> Checkpoint | None:
        """The newest whole checkpoint of this digest; others are passed over with a warning."""
        for path in self._paths():
            try:
                found = read_arrays(path)
            except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
                _warn(f"{path} is damaged ({type(error).__name__}: {error}); taking the one before it")
                continue
            if found.state.get("digest") == self._digest:
                return found
            _warn(f"{path} belongs to other code, data or settings; not resumed")
        return None

    def newest_name(self) -> str:
        """Name of the newest file, whole or not; empty when there is none."""
        paths = self._paths()
        return paths[0].name if paths else ""

    def _paths(self) -> list[Path]:
        return sorted(self._folder.glob("step-*.npz"), reverse=True)


def write_arrays(path: Path, arrays: Mapping[str, npt.NDArray[Any]], state: Mapping[str, Any]) -> None:
    """Writes arrays and state so that a reader sees the old file or the whole new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
                archive.writestr(_STATE, json.dumps(state))
                for name, array in arrays.items():
                    with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                        np.lib.format.write_array(entry, np.asarray(array), allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise ResourceError(
            f"the disk is full. Received: {error}",
            fix="free space there; training resumes from the checkpoint before",
            place=str(path),
        ) from error
    finally:
        Path(temporary).unlink(missing_ok=True)


def read_arrays(path: Path) -> Checkpoint:
    """Reads a file of `write_arrays`; every byte is checked."""
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith(".npy")]
        arrays = {name.removesuffix(".npy"): _read(archive, name) for name in names}
        return Checkpoint(path, arrays, json.loads(archive.read(_STATE)))


def _read(archive: zipfile.ZipFile, name: str) -> npt.NDArray[Any]:
    with archive.open(name) as entry:
        array: npt.NDArray[Any] = np.lib.format.read_array(entry, allow_pickle=False)
        entry.read()  # the end of the entry is where its checksum is compared
    return array


def training_variables(model: keras.Model) -> dict[str, keras.Variable]:
    """Everything a step reads or writes, by a name that is stable between processes.

    `model.variables` holds the layers' seed generators, which `model.weights` leaves out; Keras's global generator
    serves layers that draw without one of their own.
    """
    groups: dict[str, Sequence[keras.Variable]] = {
        "model": model.variables,
        "optimizer": model.optimizer.variables,
        "metrics": model.metrics_variables,
        "random": [global_seed_generator().state],
    }
    return {
        f"{group}/{index:05d}/{variable.path}": variable
        for group, variables in groups.items()
        for index, variable in enumerate(variables)
    }


def model_weights(model: keras.Model) -> dict[str, keras.Variable]:
    """What a prediction reads."""
    return {f"{index:05d}/{variable.path}": variable for index, variable in enumerate(model.weights)}


def read_variables(variables: Mapping[str, keras.Variable]) -> Arrays:
    """The values; variables that are summed over ranks when read make this a step that all ranks take together."""
    return {name: tf.convert_to_tensor(variable.value).numpy() for name, variable in variables.items()}


def assign_variables(
    variables: Mapping[str, keras.Variable], arrays: Mapping[str, npt.NDArray[Any]], *, strategy: tf.distribute.Strategy
) -> None:
    """Gives every variable its value back.

    Raises:
        ValueError: names or shapes differ, so the arrays belong to another model.
    """
    if missing := sorted(variables.keys() ^ arrays.keys()):
        raise ValueError(f"variables differ: {missing[:5]}")
    with strategy.scope():
        for name, variable in variables.items():
            variable.assign(_as_dtype(arrays[name], tf.as_dtype(variable.dtype).as_numpy_dtype))


def select(arrays: Mapping[str, npt.NDArray[Any]], prefix: str) -> Arrays:
    """The arrays below `prefix`, without it."""
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def with_prefix(arrays: Mapping[str, npt.NDArray[Any]], prefix: str) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    for name, array in arrays.items():
        yield prefix + name, array


def _as_dtype(array: npt.NDArray[Any], dtype: Any) -> npt.NDArray[Any]:
    # NumPy's format knows no bfloat16: it comes back as two raw bytes.
    return array.view(dtype) if array.dtype.kind == "V" else array.astype(dtype, copy=False)


def _warn(message: str) -> None:
    warnings.warn(message, RuntimeWarning, stacklevel=3)
