from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("tfx")

import pipelines
from pipelines.assemble import assemble
from pipelines.check import check_features, main, run_checks
from pipelines.errors import SpecError
from pipelines.settings import REPOSITORY, Settings
from pipelines.spec import Downsample, Spec, load_spec

SETTINGS = Settings(home=REPOSITORY, state=REPOSITORY / ".daybreak")


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the taxi folder as `pipelines.toy`, to be spoiled."""
    folder = tmp_path / "toy"
    shutil.copytree(REPOSITORY / "pipelines" / "taxi", folder, ignore=shutil.ignore_patterns("__pycache__"))
    for path in folder.iterdir():
        path.write_text(path.read_text().replace("pipelines.taxi", "pipelines.toy").replace("name: taxi", "name: toy"))
    monkeypatch.setattr(pipelines, "__path__", [*pipelines.__path__, str(tmp_path)])
    yield folder
    for name in [name for name in sys.modules if name.startswith("pipelines.toy")]:
        del sys.modules[name]


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def problems(name: str) -> dict[str, str]:
    return {title: problem for title, problem in run_checks(name, SETTINGS) if problem}


@pytest.mark.parametrize("name", ["shop", "taxi"])
def test_the_pipelines_that_ship_pass(name: str) -> None:
    assert problems(name) == {}


def down_sampled(weight: str) -> Spec:
    shop = load_spec("shop")
    data = shop.data.model_copy(update={"downsample": Downsample(keep_negatives=0.5, weight=weight)})
    return shop.model_copy(update={"data": data})


def test_weights_may_not_have_the_name_of_a_feature() -> None:
    check_features(down_sampled("example_weight"), SETTINGS)
    with pytest.raises(SpecError, match="must not return 'log_price', the column of `data.downsample.weight`"):
        check_features(down_sampled("log_price"), SETTINGS)


def test_only_a_down_sampled_pipeline_has_a_sample() -> None:
    pipeline, _ = assemble(down_sampled("weight"), SETTINGS)
    nodes = {node.id: node for node in pipeline.components}
    [sample] = nodes["examples"].outputs.keys() - {"examples"}
    assert nodes["transform"].inputs["sample"] is nodes["examples"].outputs[sample]
    assert nodes["transform"].exec_properties["weight"] == nodes["train"].exec_properties["weight"] == "weight"
    assert "down" not in nodes["contract"].exec_properties["data"]
    assert nodes["statistics"].inputs["examples"] is nodes["evaluate"].inputs["examples"]

    plain, _ = assemble(load_spec("shop"), SETTINGS)
    nodes = {node.id: node for node in plain.components}
    assert list(nodes["examples"].outputs) == ["examples"] and "sample" not in nodes["transform"].inputs


def test_a_broken_spec_comes_alone(toy: Path) -> None:
    replace(toy / "pipeline.yaml", "label: tips", "label: tip")
    assert list(problems("toy")) == ["spec"]


@pytest.mark.parametrize(
    ("file", "old", "new", "check", "words"),
    [
        ("schema.pbtxt", 'name: "company"', 'name: "firm"', "schema", "'company' is missing"),
        ("schema.pbtxt", "type: FLOAT", "type: BYTES", "schema", "'fare' is BYTES"),
        ("schema.pbtxt", "feature {", "feature [", "schema", "not a TFDV schema"),
        ("features.py", "outputs[LABEL] =", "outputs['other'] =", "features", "own name 'tips'"),
        ("features.py", '"trip_miles", "fare"', '"trip_mile", "fare"', "features", "trip_mile"),
        ("model.py", "    model.compile(", "    dict(", "model", "compiled keras.Model"),
        ("model.py", "def build_model", "def make_model", "model", "no function `build_model`"),
        ("model.py", "Dense(units,", "Dense('many',", "model", "model.py:"),
        ("model.py", "Dense(1)(hidden)", "Dense(3)(hidden)", "model", "as many outputs as `evaluate.classes`"),
        ("expectations.py", 'column="fare"', 'column="fair"', "expectations", "fair"),
        ("expectations.py", "    return [", "    return [1,", "expectations", "Received: int"),
    ],
)
def test_each_mistake_has_its_place_and_its_fix(
    toy: Path, file: str, old: str, new: str, check: str, words: str
) -> None:
    replace(toy / file, old, new)
    found = problems("toy")
    assert words in found[check]
    assert "Fix: " in found[check]


def test_a_missing_module_is_named(toy: Path) -> None:
    (toy / "expectations.py").unlink()
    assert "there is no expectations.py" in problems("toy")["expectations"]


def test_the_command_says_which_checks_failed(toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    replace(toy / "expectations.py", 'column="fare"', 'column="fair"')
    assert main(["toy"]) == 78
    output = capsys.readouterr().out
    assert "failed  toy: expectations" in output
    assert "ok  toy: schema" in output
