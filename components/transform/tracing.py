"""The user's `preprocessing_fn`, traced by TensorFlow Transform's own machinery, and the SavedModels made of it."""

from __future__ import annotations

import importlib
import uuid
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import tensorflow as tf
from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_transform import annotators, graph_tools, impl_helper, tf2_utils
from tfx_bsl.tfxio.tensor_adapter import TensorAdapter

from components.transform.blocks import KINDS, Shapes
from components.transform.exporting import PreprocessingFn, export
from components.transform.graph import input_config
from components.transform.passthrough import Source, source_of
from pipelines.errors import SpecError, UserCodeError, bounded


class Binding(NamedTuple):
    """A tensor of the traced graph, and the constant that analysis found for it."""

    tensor: str
    value: Any
    dtype: int
    """TensorFlow's number of the type."""


class Model(NamedTuple):
    path: Path
    """Of the SavedModel."""
    module: tf.Module | None
    """The same, when this process has made it."""
    write: Callable[[], None] = lambda: None
    """To `path`; for some dozen vocabularies that takes as long as reading half a million rows."""


@dataclass(frozen=True)
class Trace:
    function: PreprocessingFn
    schema: schema_pb2.Schema
    specs: Mapping[str, tf.TypeSpec]
    """Of the inputs."""
    graph: tf.Graph
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]
    assets: Mapping[str, str]
    """File name of every annotated asset, by its key."""
    fingerprint: Mapping[str, Any]
    folder: Path
    """For SavedModels and the assets they begin with."""

    def input_names(self, tensors: Mapping[str, Any]) -> list[str]:
        """The inputs that a SavedModel of `tensors` reads, in the schema's order."""
        flat = tf.nest.flatten(dict(self.outputs), expand_composites=True)
        # Tables and assertions run whatever is asked for, and want their rows too.
        _, always = tf2_utils.strip_and_get_tensors_and_control_dependencies(flat)
        return list(graph_tools.get_dependent_inputs(self.graph, self.inputs, [*tensors.values(), *always]))

    def source_of(self, key: str) -> Source | None:
        """The column whose values the tensor `key` (its name, `:0` left out) holds as they are."""
        representations = input_config(self.schema).tensor_representations
        plain = {
            name: tensor
            for name, tensor in self.inputs.items()
            if not representations[name].dense_tensor.HasField("default_value")
        }
        return source_of(self.graph.get_tensor_by_name(key if ":" in key else f"{key}:0"), plain)

    def model(self, bindings: Sequence[Binding], tensors: Mapping[str, Any]) -> Model:
        """With the constants in place: of `tensors` while analyzers are open, of the outputs at the end. Not written yet."""
        path = self.folder / uuid.uuid4().hex
        plain = all(isinstance(tensor, tf.Tensor) for tensor in tensors.values())
        module, write = export(
            path,
            self.function,
            self.specs,
            folder=self.folder,
            fingerprint=self.fingerprint,
            constants={bound.tensor: tf.constant(bound.value, tf.dtypes.as_dtype(bound.dtype)) for bound in bindings},
            fetches={name: tensor.name for name, tensor in tensors.items()} if plain else {},
        )
        return Model(path, module, write)


def trace(function: PreprocessingFn, schema: schema_pb2.Schema, folder: Path, *, place: str) -> Trace:
    """Traces over the features of `schema`.

    Raises:
        UserCodeError: it returns no dict of tensors, or has trainable variables.
        SpecError: an output does not fit a block of numbers.
        Whatever it raises itself.
    """
    specs = TensorAdapter(input_config(schema)).OriginalTypeSpecs()
    graph, inputs, outputs = impl_helper.trace_preprocessing_function(
        function, specs, use_tf_compat_v1=False, base_temp_dir=str(folder)
    )
    _check_outputs(graph, outputs, place)
    assets = annotators.get_asset_annotations(graph)
    annotators.clear_asset_annotations(graph)
    return Trace(
        function=function,
        schema=schema,
        specs=specs,
        graph=graph,
        inputs=inputs,
        outputs=outputs,
        assets=assets,
        fingerprint=graph_tools.get_analyzers_fingerprint(graph, inputs),
        folder=folder,
    )


def import_function(path: str) -> PreprocessingFn:
    """`package.module.name`. Raises `SpecError` when there is no such function."""
    module, _, name = path.rpartition(".")
    function = getattr(importlib.import_module(module), name, None)
    if not callable(function):
        raise SpecError(f"no function `{name}`", fix=f"define `def {name}(inputs)`", place=module)
    return function


def output_shapes(outputs: Mapping[str, Any], *, place: str) -> Shapes:
    """Shape and type of every output, sorted by name.

    Raises:
        SpecError: an output is not dense, has no fixed shape, or is not of float32 or int64.
    """
    ragged = [name for name, tensor in sorted(outputs.items()) if not _is_dense(tensor)]
    if ragged:
        raise SpecError(
            f"`preprocessing_fn` must return dense tensors of a fixed shape. Received: not dense: {bounded(ragged)}",
            fix="give them a length n: tf.sparse.to_dense(tf.SparseTensor(x.indices, x.values, [x.dense_shape[0], n]))",
            place=place,
        )
    wrong = [f"{name} ({tensor.dtype.name})" for name, tensor in outputs.items() if tensor.dtype.name not in KINDS]
    if wrong:
        raise SpecError(
            f"`preprocessing_fn` must return {' or '.join(KINDS)}. Received: {bounded(sorted(wrong))}",
            fix="text: tft.compute_and_apply_vocabulary or tft.hash_strings; other numbers: tf.cast; or leave it out",
            place=place,
        )
    return {name: (tuple(tensor.shape[1:]), tensor.dtype.name) for name, tensor in sorted(outputs.items())}


def require_free(outputs: Container[str], weight: str | None, *, place: str) -> None:
    """Raises `SpecError` when `preprocessing_fn` returns a column of the name that the weights have."""
    if weight and weight in outputs:
        raise SpecError(
            f"`preprocessing_fn` must not return {weight!r}, the column of `data.downsample.weight`",
            fix="leave it out, or give one of them another name",
            place=place,
        )


def _is_dense(tensor: Any) -> bool:
    return isinstance(tensor, tf.Tensor) and tensor.shape.rank is not None and tensor.shape[1:].is_fully_defined()


def _check_outputs(graph: tf.Graph, outputs: Any, place: str) -> None:
    if not isinstance(outputs, dict) or not outputs:
        raise UserCodeError(
            f"`preprocessing_fn` must return a dict of tensors. Received: {outputs!r}",
            fix="end it with `return outputs`",
            place=place,
        )
    if variables := graph.get_collection(tf.compat.v1.GraphKeys.TRAINABLE_VARIABLES):
        raise UserCodeError(
            f"`preprocessing_fn` must not train. Received: trainable variables {bounded(variables)}",
            fix="train them in model.py",
            place=place,
        )
    output_shapes(outputs, place=place)
