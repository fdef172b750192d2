"""Analyzers in one pass per phase over the row groups, by the graph of operations that TensorFlow Transform plans.

    model = Analysis(trace).model(run)        # SavedModel with every constant in place

TensorFlow Transform turns that graph into Beam transforms of its own. Here two visitors walk it: `_Planner` collects
what each phase measures, `_Interpreter` measures a phase when it meets it, and computes the rest on the spot.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from tensorflow_transform import analyzer_nodes, nodes, tf_utils
from tensorflow_transform.analyzers import _VocabOrderingType
from tensorflow_transform.beam import analysis_graph_builder, beam_nodes

from components.aggregation import Kernel
from components.examples.records import RowGroup
from components.transform import vocabulary
from components.transform.freezing import freeze
from components.transform.graph import Frozen, Saved, input_config
from components.transform.identity import identity_of
from components.transform.measures import Combined, Counted, CountedColumn, Measure, PhaseKernel
from components.transform.tracing import Binding, Model, Trace

Run = Callable[[Kernel[RowGroup, Any], Callable[[], str]], Any]
"""Aggregates the analysed row groups by a kernel. The other argument gives a digest of all that decides its results."""

_FINAL = "CreateSavedModel"
"""Label of the node that the graph of operations ends in."""
_COUNTED = (_VocabOrderingType.FREQUENCY, _VocabOrderingType.WEIGHTED_FREQUENCY)


class Analysis:
    """The plan of one traced `preprocessing_fn`."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._root, _, _ = analysis_graph_builder.build(trace.graph, trace.inputs, trace.outputs)
        planner = _Planner(trace)
        nodes.Traverser(planner).visit_value_node(self._root)
        self.phases: Phases = planner.phases
        self.unsupported = planner.unsupported
        """Analyzers without a kernel: with one of them, all are left to TensorFlow Transform."""

    def model(self, run: Run) -> Model:
        """Runs every phase; the SavedModel with all constants, not written yet."""
        model: Model = nodes.Traverser(_Interpreter(self._trace, self.phases, run)).visit_value_node(self._root)
        return model


Phases = Mapping[str, Sequence[Measure]]
"""What each phase measures, by the label of its `ApplySavedModel`."""


class _Planner(nodes.Visitor):  # type: ignore[misc]
    """The value of a node is the label of the phase that it reads, and which tensors of it."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self.phases: dict[str, list[Measure]] = defaultdict(list)
        self.unsupported: list[str] = []

    def visit(self, operation: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        value: Any = inputs[0] if inputs else None
        match operation:
            case beam_nodes.ApplySavedModel(label=label):
                value = (label, ())
            case beam_nodes.ExtractFromDict(keys=tuple(keys)):
                value = (value[0], keys)
            case analyzer_nodes.PackedCombineAccumulate():
                for part in operation.combiners:
                    self.phases[value[0]].append(Combined(part.label, tuple(part.keys), part.combiner))
            case analyzer_nodes.CacheableCombineAccumulate():  # the only one of its phase
                self.phases[value[0]].append(Combined(operation.label, value[1], operation.combiner))
            case analyzer_nodes.VocabularyAccumulate() if operation.vocab_ordering_type in _COUNTED:
                self.phases[value[0]].append(self._counted(operation.label, value[1]))
            case analyzer_nodes.VocabularyPrune(key_fn=None):
                pass
            case _ if type(operation) not in _COMPUTED:
                self.unsupported.append(f"{type(operation).__name__} {operation.label}")
        return (value,) * operation.num_outputs

    def _counted(self, label: str, keys: tuple[str, ...]) -> Measure:
        source = self._trace.source_of(keys[0]) if len(keys) == 1 else None
        return CountedColumn(label, source) if source else Counted(label, keys)

    def validate_value(self, value: Any) -> None:
        del value


_COMPUTED = {
    beam_nodes.CreateSavedModel,
    beam_nodes.CreateTensorBinding,
    beam_nodes.ExtractFromDict,
    beam_nodes.ExtractInputForSavedModel,
    beam_nodes.Flatten,
    analyzer_nodes.AddKey,
    analyzer_nodes.CacheableCombineMerge,
    analyzer_nodes.ExtractCombineMergeOutputs,
    analyzer_nodes.ExtractPackedCombineMergeOutputs,
    analyzer_nodes.ExtractVocabularyReservedTokens,
    analyzer_nodes.PackedCombineMerge,
    analyzer_nodes.VocabularyCount,
    analyzer_nodes.VocabularyMerge,
    analyzer_nodes.VocabularyOrderAndWrite,
}
"""What `_Interpreter` computes from merged partials."""


class _Interpreter(nodes.Visitor):  # type: ignore[misc]
    """The value of a node is what TensorFlow Transform's Beam transform would put into the collection."""

    def __init__(self, trace: Trace, phases: Phases, run: Run) -> None:
        self._trace, self._phases, self._run = trace, phases, run

    def validate_value(self, value: Any) -> None:
        del value

    def visit(self, operation: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        match operation:
            case analyzer_nodes.ExtractCombineMergeOutputs() | analyzer_nodes.ExtractPackedCombineMergeOutputs():
                return tuple(inputs[0])
            case _:
                return (self._value(operation, inputs),)

    def _value(self, operation: Any, inputs: tuple[Any, ...]) -> Any:
        first: Any = inputs[0] if inputs else None
        match operation:
            case beam_nodes.CreateSavedModel(label=label) if label == _FINAL:
                return self._trace.model(list(inputs), operation.output_signature)
            case beam_nodes.CreateSavedModel(output_signature=tensors):
                return (inputs, tensors)
            case beam_nodes.CreateTensorBinding(tensor_name=tensor, dtype_enum=dtype):
                return Binding(tensor, first, dtype)
            case beam_nodes.ApplySavedModel(label=label):
                return self._measure(self._phases[label], *inputs[0])
            case beam_nodes.ExtractFromDict(keys=str(label)):
                return first[label]
            case analyzer_nodes.VocabularyAccumulate() | analyzer_nodes.CacheableCombineAccumulate():
                return first[operation.label]
            case analyzer_nodes.AddKey(key=key):
                return (key, first)
            case beam_nodes.Flatten():
                return inputs
            case analyzer_nodes.PackedCombineMerge(combiners=parts):
                found = dict(first)
                return {part.label: part.combiner.extract_output(found[part.keys[0]]) for part in parts}
            case analyzer_nodes.CacheableCombineMerge(combiner=combiner):
                return combiner.extract_output(first)
            case analyzer_nodes.VocabularyCount():
                return np.int64(max(len(first), 1))
            case analyzer_nodes.VocabularyPrune():
                return vocabulary.prune(
                    first,
                    threshold=operation.frequency_threshold,
                    top_k=operation.top_k,
                    dtype=operation.input_dtype,
                )
            case analyzer_nodes.ExtractVocabularyReservedTokens(name=name):
                return tf_utils.fetch_vocabulary_reserved_tokens(self._trace.graph, name).tolist()
            case analyzer_nodes.VocabularyOrderAndWrite():
                return str(vocabulary.write(self._trace.folder, first, operation, *inputs[1:]))
            case _:  # what only hands on: the input, an extracted tensor, merged counts
                return first

    def _measure(
        self, measures: Sequence[Measure], bindings: Sequence[Binding], tensors: Mapping[str, Any]
    ) -> dict[str, Any]:
        needed = {key: tensors[key] for measure in measures for key in measure.keys}
        model, names = self._model(needed, bindings)
        config = input_config(self._trace.schema, names)
        identity = partial(identity_of, self._trace, model, bindings, needed, measures, config)
        merged = self._run(PhaseKernel(model, config, measures), identity)
        return {measure.label: found for measure, found in zip(measures, merged, strict=True)}

    def _model(
        self, tensors: Mapping[str, Any], bindings: Sequence[Binding]
    ) -> tuple[Frozen | Saved | None, list[str]]:
        """What computes `tensors`, and of which inputs."""
        if not tensors:
            return None, []
        if frozen := freeze(self._trace, bindings, tensors):
            return frozen, list(dict.fromkeys(feed.column for feed in frozen.feeds))
        model = self._trace.model(bindings, tensors)
        model.write()
        return Saved(model.path, tuple(tensors)), self._trace.input_names(tensors)
