"""The SavedModel of a traced `preprocessing_fn`, as TensorFlow Transform writes it.

Its own way traces the function twice for that: once for the model, and once more for what the schema of the outputs says
of them (the ends of a range, annotations). A graph that computes it is at hand already.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.python.eager import wrap_function
from tensorflow.python.eager.lift_to_graph import UnliftableError
from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_transform import analyzer_nodes, graph_context, impl_helper, schema_inference, tf2_utils
from tensorflow_transform.saved import saved_transform_io_v2
from tensorflow_transform.tf_metadata import dataset_metadata, metadata_io

_FUNCTION = "transform_fn"
"""Its name in the SavedModel, which TensorFlow Transform looks for."""
PreprocessingFn = Callable[[Mapping[str, Any]], Mapping[str, Any]]


def export(
    path: Path,
    function: PreprocessingFn,
    specs: Mapping[str, tf.TypeSpec],
    *,
    folder: Path,
    fingerprint: Mapping[str, Any],
    constants: Mapping[str, tf.Tensor],
    fetches: Mapping[str, str],
) -> tuple[tf.Module, Callable[[], None]]:
    """`impl_helper.trace_and_write_v2_saved_model`, with one trace instead of two: a module that runs, and what writes it.

    Args:
        folder: for temporary assets.
        fingerprint: of the analyzers in the first trace.
        constants: what stands for which tensor of the first trace.
        fetches: names of the tensors of the model while analyzers are open.
    """
    returned: dict[str, Any] = {}

    def recording(inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        returned.update(outputs := function(inputs))
        return outputs

    context = graph_context.TFGraphContext(tf.Module(), temp_dir=str(folder), evaluated_replacements=constants)
    transform = impl_helper.get_traced_transform_fn(recording, specs, context, output_keys_to_name_map=fetches)
    module: tf.Module = context.module_to_export
    traced = saved_transform_io_v2.trace_and_update_module(
        module, transform, _FUNCTION, strip_control_dependencies=False
    )
    inputs = tf2_utils.get_structured_inputs_from_func_graph(traced.graph)
    impl_helper._validate_analyzers_fingerprint(fingerprint, traced.graph, inputs)

    def write() -> None:
        tf.saved_model.save(module, str(path))
        if traced.graph.get_collection(analyzer_nodes.TENSOR_REPLACEMENTS):
            return
        try:
            metadata = dataset_metadata.DatasetMetadata(_schema(traced, returned))
        except UnliftableError:  # an annotation that takes rows
            metadata = impl_helper._trace_and_get_metadata(traced, inputs, function, str(folder), constants)
        metadata_io.write_metadata(metadata, str(path / impl_helper.METADATA_DIR_NAME))

    return module, write


class Exported(saved_transform_io_v2.SavedModelLoader):  # type: ignore[misc]
    """What loading the SavedModel of a module would give, in the process that wrote it."""

    def __init__(self, module: tf.Module) -> None:
        function = getattr(module, _FUNCTION)
        outputs = tf.nest.pack_sequence_as(function.structured_outputs, function.outputs, expand_composites=True)
        self._initialize(
            load_v2_in_compat=False,
            imported=module,
            wrapped=function,
            structured_inputs=tf2_utils.get_structured_inputs_from_func_graph(function.graph),
            structured_outputs=outputs,
            outputs_to_inputs_map=saved_transform_io_v2._get_output_to_inputs_map(outputs),
        )


def _schema(traced: Any, outputs: Mapping[str, Any]) -> schema_pb2.Schema:
    names = schema_inference
    keys = names._get_tensor_value_to_key_map(outputs)
    found = {
        **names._get_schema_overrides(
            traced.graph,
            keys,
            names._TF_METADATA_TENSOR_COLLECTION,
            [names._TF_METADATA_TENSOR_MIN_COLLECTION, names._TF_METADATA_TENSOR_MAX_COLLECTION],
        ),
        **names._get_schema_overrides(
            traced.graph,
            keys,
            names._TF_METADATA_EXTRA_ANNOTATION,
            [names._TF_METADATA_EXTRA_ANNOTATION_TYPE_URL, names._TF_METADATA_EXTRA_ANNOTATION_PROTO],
            names._TF_METADATA_EXTRA_ANNOTATION_GLOBAL,
        ),
        names._METADATA_SPARSE_OUTPUT_OVERRIDES_FIELD: [names._get_sparse_output_annotations_v2(traced.graph, keys)],
    }
    values = _evaluated(traced.graph, found)
    schema: schema_pb2.Schema = names.infer_feature_schema_v2(
        traced.structured_outputs, lambda: values, evaluate_schema_overrides=True
    )
    return schema


def _evaluated(graph: Any, structure: Any) -> Any:
    """Tensors of `graph` by their values. Raises `UnliftableError` when one depends on an input."""
    parts = tf.nest.flatten(structure)
    symbolic = [part for part in parts if tf.is_symbolic_tensor(part)]
    holder = wrap_function.VariableHolder(share_variables=True)
    values = iter(wrap_function.WrappedFunction(graph, holder).prune([], symbolic)() if symbolic else ())
    found = [next(values) if tf.is_symbolic_tensor(part) else tf.constant(part) for part in parts]
    return tf.nest.pack_sequence_as(structure, found)
