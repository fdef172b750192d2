"""Every check of a pipeline folder that needs no data, before the first second of compute.

    daybreak check shop

All problems come at once, each with its place and its fix; the exit code is 78 when there is one.
"""

from __future__ import annotations

import importlib
import math
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from pipelines.errors import DaybreakError, SpecError, bounded
from pipelines.settings import Settings
from pipelines.spec import ColumnType, Spec, load_spec, pipeline_folder

Check = Callable[[Spec, Settings], None]

# TFDV's feature types for each column type of the spec.
_SCHEMA_TYPES = {
    ColumnType.INT: "INT",
    ColumnType.INTS: "INT",
    ColumnType.BOOL: "INT",
    ColumnType.FLOAT: "FLOAT",
    ColumnType.FLOATS: "FLOAT",
    ColumnType.STRING: "BYTES",
    ColumnType.STRINGS: "BYTES",
    ColumnType.IMAGE: "BYTES",
}


def check_schema(spec: Spec, settings: Settings) -> None:
    """`schema.pbtxt` parses and declares exactly the columns of the spec, with their types."""
    del settings
    path = pipeline_folder(spec.name) / "schema.pbtxt"
    declared = {feature.name: feature for feature in _read_schema(path, spec.name).feature}
    expected = {str(name): _SCHEMA_TYPES[kind] for name, kind in spec.data.columns.items()}
    problems = [f"{name!r} is missing" for name in sorted(expected.keys() - declared.keys())]
    problems += [f"{name!r} is not in `data.columns`" for name in sorted(declared.keys() - expected.keys())]
    for name in sorted(expected.keys() & declared.keys()):
        kind = _type_name(declared[name].type)
        if kind != expected[name]:
            problems.append(f"{name!r} is {kind}, `data.columns` says {spec.data.columns[name]} ({expected[name]})")
    if problems:
        raise SpecError(
            f"the schema must hold the columns of `data.columns`. Received: {bounded(problems)}",
            fix=f"edit it, or infer a new one: `daybreak schema {spec.name} --day …`",
            place=str(path),
        )


def check_features(spec: Spec, settings: Settings) -> None:
    """`features.py` traces over the schema's feature spec: dense numbers of fixed shape, the label, and no weights."""
    del settings
    shapes = _input_shapes(spec)
    if spec.data.downsample:
        from components.transform.tracing import require_free

        require_free(shapes, spec.data.downsample.weight, place=f"pipelines.{spec.name}.features")


def check_model(spec: Spec, settings: Settings) -> None:
    """`model.py` builds and compiles a Keras model over the transformed features."""
    del settings
    import keras

    from components.training.model_inputs import ModelInputs

    module = _user_module(spec, "model", "build_model")
    inputs = {
        name: keras.Input(shape=shape, dtype=dtype, name=name) for name, (shape, dtype) in _input_shapes(spec).items()
    }
    features = ModelInputs(inputs=inputs, vocabulary_sizes=_AnyVocabulary(), hyperparameters=spec.train.hyperparameters)
    model = module.build_model(features)
    if not isinstance(model, keras.Model) or not getattr(model, "compiled", False):
        raise SpecError(
            f"`build_model` must return a compiled keras.Model. Received: {type(model).__name__}",
            fix="call model.compile(optimizer=…, loss=…, metrics=[…]) before returning it",
            place=f"pipelines.{spec.name}.model",
        )
    # Some models know their output only when they are called; then the evaluation says it.
    shape, expected = getattr(model, "output_shape", None), spec.evaluate.classes or 1
    if isinstance(shape, tuple) and None not in shape[1:] and (outputs := math.prod(shape[1:])) != expected:
        raise SpecError(
            f"the model must have as many outputs as `evaluate.classes`, and one without it: {expected}. Received: {outputs}",
            fix="set `evaluate.classes` in pipeline.yaml, or end the model with Dense(classes, activation='softmax')",
            place=f"pipelines.{spec.name}.model",
        )


def check_expectations(spec: Spec, settings: Settings) -> None:
    """`expectations.py` returns Great Expectations expectations on columns that exist."""
    del settings
    from great_expectations.expectations.expectation import Expectation

    place = f"pipelines.{spec.name}.expectations"
    expectations = _user_module(spec, "expectations", "expectations").expectations()
    wrong = [item for item in expectations if not isinstance(item, Expectation)]
    if wrong:
        raise SpecError(
            f"`expectations()` must return expectations. Received: {bounded(type(item).__name__ for item in wrong)}",
            fix="return instances of great_expectations.expectations classes",
            place=place,
        )
    named = {str(item.column) for item in expectations if getattr(item, "column", None)}
    if unknown := sorted(named - set(spec.data.columns)):
        raise SpecError(
            f"expectations name columns that `data.columns` lacks. Received: {bounded(unknown)}",
            fix="declare them in pipeline.yaml, or correct the names",
            place=place,
        )


def check_graph(spec: Spec, settings: Settings) -> None:
    """The TFX pipeline assembles: every node's inputs and parameters are accepted."""
    from pipelines.assemble import assemble

    assemble(spec, settings)


CHECKS: dict[str, Check] = {
    "schema": check_schema,
    "expectations": check_expectations,
    "features": check_features,
    "model": check_model,
    "graph": check_graph,
}


class _AnyVocabulary(dict[str, int]):
    """Before the data is seen every vocabulary has a size; a small one builds every model."""

    def __missing__(self, name: str) -> int:
        return 16

    def __contains__(self, name: object) -> bool:
        return True


def run_checks(name: str, settings: Settings) -> Iterator[tuple[str, str]]:
    """Yields (check, problem) with an empty problem where all is well; the spec comes first and alone when it fails."""
    try:
        spec = load_spec(name)
    except DaybreakError as error:
        yield "spec", str(error)
        return
    yield "spec", ""
    for title, check in CHECKS.items():
        try:
            check(spec, settings)
        except DaybreakError as error:
            yield title, str(error)
        except Exception as error:  # noqa: BLE001  # the user's module raised: keep its words and add the place
            yield title, _explain(error, pipeline_folder(name))
        else:
            yield title, ""


def _explain(error: Exception, folder: Path) -> str:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(str(folder))]
    place = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else str(folder)
    return f"{place}: {type(error).__name__}: {error}\n  Fix: correct that line"


def _user_module(spec: Spec, module: str, function: str) -> ModuleType:
    place = f"pipelines.{spec.name}.{module}"
    try:
        found = importlib.import_module(place)
    except ModuleNotFoundError as error:
        if error.name != place:
            raise
        raise SpecError(
            f"there is no {module}.py", fix=f"write it with a function `{function}`", place=place
        ) from error
    if not callable(getattr(found, function, None)):
        raise SpecError(f"no function `{function}`", fix=f"define `def {function}(…)`", place=place)
    return found


def _input_shapes(spec: Spec) -> dict[str, tuple[tuple[int, ...], str]]:
    """Shape without the batch and dtype of every model input, by the rules of training."""
    import tensorflow as tf

    from components.training.model_inputs import feature_shapes

    described = {
        name: tf.io.FixedLenFeature(tuple(tensor.shape[1:]), tensor.dtype)
        if isinstance(tensor, tf.Tensor) and tensor.shape[1:].is_fully_defined()
        else tf.io.VarLenFeature(tensor.dtype)
        for name, tensor in _trace_features(spec).items()
    }
    return feature_shapes(described, label=spec.data.label)


def _trace_features(spec: Spec) -> dict[str, Any]:
    """Traces `preprocessing_fn` as Transform will: dict of output name to a symbolic tensor of shape [batch, ...]."""
    from tensorflow_transform import impl_helper
    from tensorflow_transform.tf_metadata import schema_utils

    module = _user_module(spec, "features", "preprocessing_fn")
    schema = _read_schema(pipeline_folder(spec.name) / "schema.pbtxt", spec.name)
    feature_spec = schema_utils.schema_as_feature_spec(schema).feature_spec
    with tempfile.TemporaryDirectory() as folder:
        _, _, outputs = impl_helper.trace_preprocessing_function(
            module.preprocessing_fn,
            impl_helper.get_type_specs_from_feature_specs(feature_spec),
            use_tf_compat_v1=False,
            base_temp_dir=folder,
        )
    return dict(outputs)


def _read_schema(path: Path, name: str) -> Any:
    from google.protobuf import text_format
    from tensorflow_metadata.proto.v0 import schema_pb2

    try:
        return text_format.Parse(path.read_text(encoding="utf-8"), schema_pb2.Schema())
    except FileNotFoundError as error:
        raise SpecError(
            "there is no schema.pbtxt",
            fix=f"infer one and curate it: `daybreak schema {name} --day …`",
            place=str(path),
        ) from error
    except text_format.ParseError as error:
        raise SpecError(f"not a TFDV schema: {error}", fix="correct that line", place=str(path)) from error


def _type_name(kind: int) -> str:
    from tensorflow_metadata.proto.v0 import schema_pb2

    return str(schema_pb2.FeatureType.Name(kind))


def main(names: list[str]) -> int:
    settings = Settings.from_environment()
    failed = False
    for name in names:
        for title, problem in run_checks(name, settings):
            print(f"{'failed' if problem else 'ok':>6}  {name}: {title}" + (f"\n{problem}" if problem else ""))
            failed = failed or bool(problem)
    return SpecError.exit_code if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
