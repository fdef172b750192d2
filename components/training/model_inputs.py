"""What `build_model` receives: symbolic inputs, vocabulary sizes and hyperparameters.

    def build_model(features: ModelInputs) -> keras.Model:
        item = Embedding(features.vocabulary_size("item") + 1, 16)(features.inputs["item_id"])
        price = features.inputs["price"]
        hidden = keras.layers.Concatenate()([keras.layers.Flatten()(item), price])
        model = keras.Model(features.inputs, keras.layers.Dense(1, activation="sigmoid")(hidden))
        model.compile(optimizer=LazyAdam(features.hyperparameters["learning_rate"]), loss="binary_crossentropy")
        return model

The model takes the whole dict `features.inputs`; an input it does not use is allowed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.errors import UserCodeError, bounded

if TYPE_CHECKING:
    import keras
    import tensorflow_transform as tft


@dataclass(frozen=True)
class ModelInputs:
    """Inputs of one model, by transformed feature name, the label left out."""

    inputs: dict[str, keras.KerasTensor]
    """Symbolic `keras.Input`s, shape `[batch, ...]`; a scalar feature has shape `[batch, 1]`."""
    vocabulary_sizes: Mapping[str, int]
    """Tokens per vocabulary, by the `vocab_filename` given to TensorFlow Transform."""
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    """`train.hyperparameters` of the spec."""

    @classmethod
    def from_transform(
        cls, transform: tft.TFTransformOutput, *, label: str, hyperparameters: Mapping[str, Any] | None = None
    ) -> ModelInputs:
        """Reads the transformed feature spec and the vocabularies of a transform graph.

        Raises:
            UserCodeError: a transformed feature is not dense or is text, or the label is missing.
        """
        import keras

        shapes = feature_shapes(transform.transformed_feature_spec(), label=label)
        return cls(
            inputs={name: keras.Input(shape=shape, dtype=dtype, name=name) for name, (shape, dtype) in shapes.items()},
            vocabulary_sizes=_Vocabularies(transform),
            hyperparameters=dict(hyperparameters or {}),
        )

    def vocabulary_size(self, name: str) -> int:
        """Tokens in the vocabulary `name`, without out-of-vocabulary buckets.

        A table for `tft.compute_and_apply_vocabulary(x, vocab_filename=name, num_oov_buckets=n)` needs this many rows
        plus `n`.

        Raises:
            UserCodeError: no vocabulary has that name.
        """
        if name not in self.vocabulary_sizes:
            raise UserCodeError(
                f"`name` must be a vocabulary of the transform graph: {bounded(sorted(self.vocabulary_sizes))}."
                f" Received: name={name!r}",
                fix=f"give vocab_filename={name!r} to tft.compute_and_apply_vocabulary in features.py",
            )
        return int(self.vocabulary_sizes[name])


def feature_shapes(feature_spec: Mapping[str, Any], *, label: str) -> dict[str, tuple[tuple[int, ...], str]]:
    """Shape without the batch and dtype of every input, sorted by name; a scalar becomes `(1,)`.

    Raises:
        UserCodeError: a feature is not dense or is text, or the label is missing.
    """
    import tensorflow as tf

    sparse = sorted(name for name, spec in feature_spec.items() if not isinstance(spec, tf.io.FixedLenFeature))
    if sparse:
        raise UserCodeError(
            f"`preprocessing_fn` must return dense tensors of a fixed shape. Received: not dense: {bounded(sparse)}",
            fix="give them a length n: tf.sparse.to_dense(tf.SparseTensor(x.indices, x.values, [x.dense_shape[0], n]))",
            place="features.py",
        )
    if text := sorted(name for name, spec in feature_spec.items() if spec.dtype == tf.string):
        raise UserCodeError(
            f"`preprocessing_fn` must return numbers (int64 or float32). Received: text: {bounded(text)}",
            fix="use tft.compute_and_apply_vocabulary or tft.hash_strings; leave what is not a feature out",
            place="features.py",
        )
    if label not in feature_spec:
        raise UserCodeError(
            f"`preprocessing_fn` must return the label under its own name {label!r}. "
            f"Received: {bounded(sorted(feature_spec))}",
            fix=f'add `outputs["{label}"] = …`',
            place="features.py",
        )
    return {
        name: (tuple(spec.shape) or (1,), spec.dtype.name)
        for name, spec in sorted(feature_spec.items())
        if name != label
    }


class _Vocabularies(Mapping[str, int]):
    """Sizes of the vocabularies in a transform graph, by the name given in `preprocessing_fn`."""

    def __init__(self, transform: tft.TFTransformOutput) -> None:
        self._transform = transform
        assets = Path(transform.transform_savedmodel_dir) / "assets"
        self._names = sorted(path.name.removesuffix(".tfrecord.gz") for path in assets.glob("*"))

    def __getitem__(self, name: str) -> int:
        if not self._transform.vocabulary_file_by_name(name):
            raise KeyError(name)
        return int(self._transform.vocabulary_size_by_name(name))

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
