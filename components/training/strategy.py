"""From `train.strategy` to a `tf.distribute` strategy, on the accelerators there are or on CPU."""

from __future__ import annotations

import json
import os

import tensorflow as tf

from pipelines.errors import ResourceError
from pipelines.spec import StrategyName, Train


def rank() -> int:
    """This process among the workers, from `TF_CONFIG`; 0, the chief, without one."""
    return int(json.loads(os.environ.get("TF_CONFIG") or "{}").get("task", {}).get("index", 0))


def create_strategy(train: Train) -> tf.distribute.Strategy:
    """The strategy of this process; several devices must be asked for before TensorFlow runs its first operation."""
    match train.strategy:
        case StrategyName.SINGLE:
            return tf.distribute.get_strategy()
        case StrategyName.MIRRORED:
            return _mirrored(train.devices)
        case StrategyName.MULTI_WORKER:
            return _multi_worker()


def _mirrored(devices: int) -> tf.distribute.Strategy:
    gpus = tf.config.list_physical_devices("GPU")
    if len(gpus) >= devices:
        return tf.distribute.MirroredStrategy([f"GPU:{index}" for index in range(devices)])
    if gpus:
        raise ResourceError(
            f"`train.devices` must be at most the number of GPUs, {len(gpus)}. Received: devices={devices}",
            fix=f"set `devices: {len(gpus)}`",
        )
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * devices)
    return tf.distribute.MirroredStrategy(
        [f"CPU:{index}" for index in range(devices)], cross_device_ops=tf.distribute.ReductionToOneDevice()
    )


def _multi_worker() -> tf.distribute.Strategy:
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        tf.config.set_visible_devices(gpus[rank() % len(gpus)], "GPU")
    kinds = tf.distribute.experimental.CommunicationImplementation
    options = tf.distribute.experimental.CommunicationOptions(implementation=kinds.AUTO if gpus else kinds.RING)
    return tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)
