from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from components.training.checkpoint import Checkpoints, read_arrays, write_arrays
from pipelines.errors import ResourceError


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    return Checkpoints(tmp_path, digest="d")


def arrays(value: float) -> dict[str, np.ndarray]:
    return {"model/dense/kernel": np.full((64, 3), value, "float32"), "step": np.array(7)}


def test_the_newest_comes_back_and_two_are_kept(checkpoints: Checkpoints, tmp_path: Path) -> None:
    for step in (5, 10, 15):
        checkpoints.save(step, arrays(step), {"step": step})
    found = checkpoints.newest()
    assert found is not None
    assert found.state["step"] == 15
    np.testing.assert_array_equal(found.arrays["model/dense/kernel"], arrays(15)["model/dense/kernel"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-000000000010.npz", "step-000000000015.npz"]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:300])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [cut, flip, empty])
def test_a_damaged_one_is_passed_over(checkpoints: Checkpoints, damage: Callable[[Path], None]) -> None:
    checkpoints.save(5, arrays(5), {"step": 5})
    damage(checkpoints.save(10, arrays(10), {"step": 10}))
    with pytest.warns(RuntimeWarning, match="step-000000000010.npz is damaged"):
        found = checkpoints.newest()
    assert found is not None
    assert found.state["step"] == 5


def test_nothing_whole_means_from_the_start(checkpoints: Checkpoints) -> None:
    cut(checkpoints.save(5, arrays(5), {}))
    with pytest.warns(RuntimeWarning):
        assert checkpoints.newest() is None


def test_another_digest_is_not_resumed(checkpoints: Checkpoints, tmp_path: Path) -> None:
    checkpoints.save(5, arrays(5), {})
    with pytest.warns(RuntimeWarning, match="other code, data or settings"):
        assert Checkpoints(tmp_path, digest="e").newest() is None


def test_a_full_disk_keeps_the_checkpoint_before(
    checkpoints: Checkpoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints.save(5, arrays(5), {"step": 5})

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ResourceError, match="the disk is full"):
        checkpoints.save(10, arrays(10), {"step": 10})
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000000005.npz"]


def test_every_kind_of_array_comes_back(tmp_path: Path) -> None:
    written = {"scalar": np.array(3, "uint32"), "none": np.zeros((0, 4), "float32"), "flags": np.array([True, False])}
    write_arrays(tmp_path / "x.npz", written, {"best": float("inf")})
    found = read_arrays(tmp_path / "x.npz")
    assert found.state == {"best": float("inf")}
    for name, array in written.items():
        np.testing.assert_array_equal(found.arrays[name], array)
        assert found.arrays[name].dtype == array.dtype
