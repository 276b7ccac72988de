"""What a training runs on: the GPUs of one or several machines, else the processor; always deterministic."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Literal

from covidctnet.training.workers import count_workers

_LOG = logging.getLogger(__name__)

Precision = Literal["auto", "float32", "mixed"]


def make_deterministic(seed: int) -> None:
    """Make operations give the same bits on every run; stays so for the rest of the process."""
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


def limit_operation_threads(threads: int) -> None:
    """Let one operation use so many cores, 0 for all.

    Where TensorFlow is at work already it is too late, and the log says so; a pipeline's step is a process of its own.
    """
    import tensorflow as tf

    if not threads:
        return
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
    except RuntimeError:
        _LOG.warning("operation_threads %d has no effect: TensorFlow is at work in this process already", threads)


def choose_strategy() -> Any:
    """All machines where there are several, else all GPUs where there are several, else the one device.

    Several machines find each other while the strategy is made, so it comes before any other operation.
    """
    import tensorflow as tf

    if count_workers() > 1:
        return _join_machines()
    several = len(tf.config.list_logical_devices("GPU")) > 1
    return tf.distribute.MirroredStrategy() if several else tf.distribute.get_strategy()


def has_replicas() -> bool:
    """Whether the strategy in force spreads a batch over several devices."""
    import tensorflow as tf

    return bool(tf.distribute.get_strategy().num_replicas_in_sync > 1)


@lru_cache(maxsize=1)
def _join_machines() -> Any:
    import tensorflow as tf

    # Once a process: the machines cannot leave and meet again.
    return tf.distribute.MultiWorkerMirroredStrategy()


def is_mixed(precision: Precision) -> bool:
    """Whether to train in float16 with float32 weights: as asked for, or where a GPU is."""
    import tensorflow as tf

    return precision == "mixed" or (precision == "auto" and bool(tf.config.list_logical_devices("GPU")))


@contextmanager
def precision_policy(mixed: bool) -> Iterator[None]:
    """Build layers within this context for mixed precision, or for float32."""
    import keras

    earlier = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16" if mixed else "float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(earlier)


def shard(strategy: Any, tensor: Any) -> Any:
    """Deal a batch over the replicas; the first ones get one case more where it does not divide."""
    replicas = strategy.num_replicas_in_sync
    if replicas == 1:
        return tensor
    deal: Callable[[Any], Any] = lambda context: tensor[context.replica_id_in_sync_group :: replicas]  # noqa: E731
    return strategy.experimental_distribute_values_from_function(deal)
