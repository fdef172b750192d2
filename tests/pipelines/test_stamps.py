"""The code part of the cache key changes with the code that matters, and with nothing else."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from pipelines.errors import SpecError
from pipelines.manifest import Manifest, Node
from pipelines.node.stamps import compute_stamps, digest_of_module


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "churn_for_stamps"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "features.py").write_text("from churn_for_stamps.text import clean\nfrom . import numbers_\n")
    (folder / "text.py").write_text("def clean(): ...\n")
    (folder / "numbers_.py").write_text("")
    (folder / "model.py").write_text("import keras\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "churn_for_stamps", raising=False)  # another test's folder
    importlib.invalidate_caches()
    return folder


def test_a_module_brings_the_modules_it_imports_from_its_folder(package: Path) -> None:
    before = digest_of_module("churn_for_stamps.features")
    (package / "model.py").write_text("import keras  # changed\n")
    assert digest_of_module("churn_for_stamps.features") == before, "features does not import the model"
    for name in ("text.py", "numbers_.py", "features.py"):
        (package / name).write_text((package / name).read_text() + "# changed\n")
        after = digest_of_module("churn_for_stamps.features")
        assert after != before, name
        before = after


def test_of_a_package_every_file_counts(package: Path) -> None:
    before = digest_of_module("churn_for_stamps")
    (package / "new.py").write_text("")
    assert digest_of_module("churn_for_stamps") != before


def test_code_that_does_not_parse_still_has_a_digest(package: Path) -> None:
    (package / "features.py").write_text("def broken(:\n")
    assert digest_of_module("churn_for_stamps.features")


def test_stamps_of_a_node(package: Path) -> None:
    node = Node(id="train", stage="s", code=("churn_for_stamps.model",), stamps={"where": "os.path:basename"})
    manifest = Manifest(pipeline="churn", ir="x", ir_digest="x", nodes=(node,))
    with pytest.raises(TypeError):  # called with manifest and parameters, which basename does not take
        compute_stamps(manifest, node, {"day": "2026-01-05"})
    plain = compute_stamps(manifest, node.model_copy(update={"stamps": {}}), {})
    assert plain == {"code": f"churn_for_stamps.model {digest_of_module('churn_for_stamps.model')}"}


@pytest.mark.parametrize("wrong", [{"code": ("no_such_module",)}, {"stamps": {"a": "os:no_such_function"}}])
def test_what_cannot_be_found_is_an_error_with_a_fix(wrong: dict[str, object]) -> None:
    node = Node.model_validate({"id": "train", "stage": "s", **wrong})
    with pytest.raises(SpecError, match="no_such"):
        compute_stamps(Manifest(pipeline="churn", ir="x", ir_digest="x", nodes=(node,)), node, {})
