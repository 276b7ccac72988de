"""What a training runs on: all GPUs that are there, else the processor; always with deterministic operations."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

Precision = Literal["auto", "float32", "mixed"]


def make_deterministic(seed: int) -> None:
    """Make operations give the same bits on every run; stays so for the rest of the process."""
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


def choose_strategy() -> Any:
    """MirroredStrategy over the GPUs where there are several, else the default of one device."""
    import tensorflow as tf

    several = len(tf.config.list_logical_devices("GPU")) > 1
    return tf.distribute.MirroredStrategy() if several else tf.distribute.get_strategy()


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
