"""Train the small classifier on one or two logical devices of the processor; prints its last losses.

Usage: python -m tests.helpers.train_mirrored DEVICES
"""

import json
import sys
from typing import Any

import tensorflow as tf

from covidctnet.training import loop
from covidctnet.training.classifier import train_classifier
from tests.covidctnet.training.test_train_classifier import cases, config


def main(devices: int) -> None:
    """Train for three epochs without dropout, so that the outcome does not depend on the number of devices."""
    processor = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * devices)
    names = [f"CPU:{number}" for number in range(devices)]

    def strategy() -> Any:
        return tf.distribute.MirroredStrategy(names) if devices > 1 else tf.distribute.get_strategy()

    loop.choose_strategy = strategy
    _, history = train_classifier(*cases(32, 0), *cases(12, 1), config(epochs=3, batch_size=8))
    sys.stdout.write(json.dumps(history) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]))
