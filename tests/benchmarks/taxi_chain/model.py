"""`preprocessing_fn` and `run_fn` of the stock example, with the model in Keras 3."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
import tensorflow_transform as tft
from tfx import v1 as tfx
from tfx_bsl.public import tfxio

DENSE = ("trip_miles", "fare", "trip_seconds")
BUCKETED = ("pickup_latitude", "pickup_longitude", "dropoff_latitude", "dropoff_longitude")
VOCABULARY = ("payment_type", "company")
CATEGORICAL = {"trip_start_hour": 24, "trip_start_day": 31, "trip_start_month": 13}
BUCKETS, VOCABULARY_SIZE, OOV_SIZE = 10, 1000, 10
LABEL = "big_tipper"


def preprocessing_fn(inputs: dict[str, Any]) -> dict[str, Any]:
    outputs = {}
    for key in DENSE:
        outputs[f"{key}_xf"] = tft.scale_to_z_score(_dense(inputs[key]))
    for key in VOCABULARY:
        outputs[f"{key}_xf"] = tft.compute_and_apply_vocabulary(
            _dense(inputs[key]), top_k=VOCABULARY_SIZE, num_oov_buckets=OOV_SIZE
        )
    for key in BUCKETED:
        outputs[f"{key}_xf"] = tft.bucketize(_dense(inputs[key]), BUCKETS)
    for key in CATEGORICAL:
        outputs[f"{key}_xf"] = _dense(inputs[key])
    fare, tips = _dense(inputs["fare"]), _dense(inputs["tips"])
    outputs[LABEL] = tf.cast(tf.cast(tips, tf.float32) > tf.cast(fare, tf.float32) * 0.2, tf.int64)
    return outputs


def _dense(column: Any) -> Any:
    """[batch, 1], with 0 or "" where the value is missing."""
    if not isinstance(column, tf.sparse.SparseTensor):
        return column
    default = "" if column.dtype == tf.string else 0
    return tf.sparse.to_dense(tf.SparseTensor(column.indices, column.values, [column.dense_shape[0], 1]), default)


def _build_model() -> keras.Model:
    deep_inputs = [keras.Input(shape=(1,), name=f"{key}_xf", dtype="float32") for key in DENSE]
    sizes = dict.fromkeys(VOCABULARY, VOCABULARY_SIZE + OOV_SIZE) | dict.fromkeys(BUCKETED, BUCKETS) | CATEGORICAL
    wide_inputs = {keras.Input(shape=(1,), name=f"{key}_xf", dtype="int64"): size for key, size in sizes.items()}
    deep = keras.layers.concatenate(deep_inputs)
    for units in (100, 70, 48, 34):
        deep = keras.layers.Dense(units)(deep)
    wide = keras.layers.concatenate(
        [keras.layers.Flatten()(keras.layers.Embedding(size + 1, 1)(column)) for column, size in wide_inputs.items()]
    )
    score = keras.layers.Dense(1, activation="sigmoid")(keras.layers.concatenate([deep, wide]))
    model = keras.Model([*deep_inputs, *wide_inputs], score)
    model.compile(loss="binary_crossentropy", optimizer=keras.optimizers.Adam(0.001), metrics=["accuracy"])
    return model


class _Serving(tf.Module):
    """Serialized tf.Examples of raw features -> transform graph -> model."""

    def __init__(self, model: keras.Model, transform: tft.TFTransformOutput) -> None:
        super().__init__()
        self._model, self._spec = model, transform.raw_feature_spec()
        self._variables = [variable.value for variable in model.variables]
        self._transform = tf.saved_model.load(transform.transform_savedmodel_dir)

    def _transformed(self, serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        transformed: dict[str, tf.Tensor] = self._transform.transform_fn(tf.io.parse_example(serialized, self._spec))
        return transformed

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def serving_default(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        features = self._transformed(examples)
        features.pop(LABEL)
        return {"outputs": self._model(features)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def transform_features(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        return self._transformed(examples)


def run_fn(fn_args: tfx.components.FnArgs) -> None:
    transform = tft.TFTransformOutput(fn_args.transform_output)
    options = tfxio.TensorFlowDatasetOptions(batch_size=40, label_key=LABEL)
    schema = transform.transformed_metadata.schema

    def read(files: list[str]) -> tf.data.Dataset:
        return fn_args.data_accessor.tf_dataset_factory(files, options, schema).repeat()

    model = _build_model()
    model.fit(
        read(fn_args.train_files),
        steps_per_epoch=fn_args.train_steps,
        validation_data=read(fn_args.eval_files),
        validation_steps=fn_args.eval_steps,
        verbose=2,
    )
    serving = _Serving(model, transform)
    signatures = {"serving_default": serving.serving_default, "transform_features": serving.transform_features}
    tf.saved_model.save(serving, fn_args.serving_model_dir, signatures=signatures)
