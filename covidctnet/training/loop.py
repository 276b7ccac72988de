"""The training loop of all networks: resumable at any batch, with the same weights as if never stopped.

Batches depend on seed, epoch and place alone, operations are deterministic, and a checkpoint holds every
variable: weights, optimizer, and the states of dropout. An epoch that a kill cut off is done again from its
start; a SIGTERM saves the batch that was reached.
"""

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from covidctnet.errors import TrainingError, TrainingInterruptedError
from covidctnet.training.batches import Batches, stream
from covidctnet.training.checkpoint import Checkpoint, Place, Weights
from covidctnet.training.devices import (
    choose_strategy,
    is_mixed,
    limit_operation_threads,
    make_deterministic,
    precision_policy,
    shard,
)
from covidctnet.training.history import History
from covidctnet.training.interruption import StopRequest, stop_on_sigterm
from covidctnet.training.schedule import Schedule
from covidctnet.training.workers import is_chief

_LOG = logging.getLogger(__name__)

OnEpoch = Callable[[int, int, History], None]
"""Called with finished epochs, all epochs and the history so far."""

Measure = Callable[[Any, Any], Any]
"""Targets and predictions of a batch to the mean of a metric over it."""


def fit(
    build: Callable[[], Any],
    train: Batches,
    validation: Batches,
    schedule: Schedule,
    *,
    name: str,
    checkpoint: Checkpoint | None = None,
    measures: Mapping[str, Measure] | None = None,
    on_epoch: OnEpoch = lambda done, total, history: None,
) -> tuple[Any, History]:
    """Train a network, or go on where an earlier run of the same training was stopped.

    Args:
        build: makes the compiled network; called under the device strategy and precision.
        train: what is learned from.
        validation: whose loss is watched.
        schedule: epochs, learning rate, early stopping.
        name: of the network, for messages.
        checkpoint: where the state is kept; None keeps none.
        measures: metrics beside the loss, by name.
        on_epoch: told of each finished epoch.

    Returns:
        The network in float32, and its history: `loss`, `val_loss`, `learning_rate` and the measures.

    Raises:
        TrainingError: a loss is not finite.
        TrainingInterruptedError: SIGTERM came; the state is saved.
    """
    limit_operation_threads(schedule.operation_threads)
    strategy = choose_strategy()
    make_deterministic(schedule.seed)
    mixed = is_mixed(schedule.precision)
    with strategy.scope(), precision_policy(mixed):
        model = build()
        model.optimizer.build(model.trainable_variables)
    trainer = _Trainer(model, strategy, measures or {})
    place, best = _resume(trainer, checkpoint, name)
    with stop_on_sigterm() as stop:
        while not place.done:
            place = _train_epoch(trainer, train, place, schedule, stop, checkpoint, best, name)
            place = _close_epoch(trainer, validation, place, schedule, name)
            if place.best_epoch == place.epoch:
                best = model.get_weights()
            if checkpoint and is_chief():
                checkpoint.save(place, trainer.variables, best)
            on_epoch(place.epoch, schedule.epochs, place.history)
    if schedule.keep_best and best:
        model.set_weights(best)
    return (_in_float32(build, model) if mixed else model), place.history


class _Trainer:
    """A model with its compiled steps."""

    def __init__(self, model: Any, strategy: Any, measures: Mapping[str, Measure], jit_compile: bool = False) -> None:
        import tensorflow as tf

        self.model, self.strategy, self.measures = model, strategy, measures
        self.variables = [*model.variables, *model.optimizer.variables]

        def values(inputs: Any, targets: Any, predictions: Any, loss: Any) -> dict[str, Any]:
            measured = {name: measure(targets, predictions) for name, measure in measures.items()}
            # Keras gives each replica its share of the mean loss; the measures are whole means.
            return {"loss": loss} | {n: v / strategy.num_replicas_in_sync for n, v in measured.items()}

        def learn(inputs: Any, targets: Any) -> dict[str, Any]:
            with tf.GradientTape() as tape:
                predictions = model(inputs, training=True)
                loss = model.compute_loss(inputs, targets, predictions, training=True)
                scaled = model.optimizer.scale_loss(loss)
            gradients = tape.gradient(scaled, model.trainable_variables)
            model.optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
            return values(inputs, targets, predictions, loss)

        def watch(inputs: Any, targets: Any) -> dict[str, Any]:
            predictions = model(inputs, training=False)
            return values(
                inputs, targets, predictions, model.compute_loss(inputs, targets, predictions, training=False)
            )

        self.learn, self.watch = (self._compile(step, jit_compile) for step in (learn, watch))

    def _compile(self, step: Callable[[Any, Any], dict[str, Any]], jit_compile: bool) -> Callable[[Any, Any], Any]:
        import tensorflow as tf

        compiled = tf.function(step, jit_compile=jit_compile, reduce_retracing=True)
        if self.strategy.num_replicas_in_sync == 1:
            return lambda inputs, targets: compiled(inputs, targets)

        @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
        def spread(inputs: Any, targets: Any) -> Any:
            answers = self.strategy.run(compiled, args=(inputs, targets))
            return {name: self.strategy.reduce("SUM", value, axis=None) for name, value in answers.items()}

        return lambda inputs, targets: spread(shard(self.strategy, inputs), shard(self.strategy, targets))


def _resume(trainer: _Trainer, checkpoint: Checkpoint | None, name: str) -> tuple[Place, Weights | None]:
    found = checkpoint.load(trainer.variables) if checkpoint else None
    if found is None:
        return Place(), None
    _LOG.info("the %s goes on after epoch %d, batch %d", name, found[0].epoch, found[0].batch)
    return found


def _train_epoch(
    trainer: _Trainer,
    train: Batches,
    place: Place,
    schedule: Schedule,
    stop: StopRequest,
    checkpoint: Checkpoint | None,
    best: Weights | None,
    name: str,
) -> Place:
    trainer.model.optimizer.learning_rate.assign(schedule.rate(place.epoch))
    if place.batch == len(train):
        return place
    for inputs, targets in stream(train, place.epoch, place.batch):
        sums = _add(place.sums, trainer.learn(inputs, targets), int(inputs.shape[0]))
        place = replace(place, batch=place.batch + 1, sums=sums)
        if stop:
            if checkpoint and is_chief():
                checkpoint.save(place, trainer.variables, best)
            raise TrainingInterruptedError(
                f"training of the {name} was stopped in epoch {place.epoch + 1} of {schedule.epochs}; "
                "run the same command to go on"
            )
    return place


def _close_epoch(trainer: _Trainer, validation: Batches, place: Place, schedule: Schedule, name: str) -> Place:
    values = _means(place.sums)
    if not math.isfinite(values["loss"]):
        raise TrainingError(
            f"the {name}'s loss is {values['loss']} after epoch {place.epoch + 1}; lower its learning_rate"
        )
    sums: dict[str, float] = {}
    for inputs, targets in stream(validation, 0):
        sums = _add(sums, trainer.watch(inputs, targets), int(inputs.shape[0]))
    values |= {f"val_{key}": value for key, value in _means(sums).items()}
    values["learning_rate"] = float(schedule.rate(place.epoch))
    history = {key: [*place.history.get(key, []), value] for key, value in values.items()}
    epoch, loss = place.epoch + 1, values["val_loss"]
    better = loss < place.best_loss or place.epoch == 0
    best_loss, best_epoch = (loss, epoch) if better else (place.best_loss, place.best_epoch)
    tired = schedule.patience > 0 and epoch - best_epoch >= schedule.patience
    return Place(
        epoch=epoch,
        history=history,
        best_loss=best_loss,
        best_epoch=best_epoch,
        done=tired or epoch >= schedule.epochs,
    )


def _add(sums: Mapping[str, float], values: Mapping[str, Any], count: int) -> dict[str, float]:
    added = {name: sums.get(name, 0.0) + count * float(value) for name, value in values.items()}
    return {**added, "count": sums.get("count", 0.0) + count}


def _means(sums: Mapping[str, float]) -> dict[str, float]:
    return {name: value / sums["count"] for name, value in sums.items() if name != "count"}


def _in_float32(build: Callable[[], Any], trained: Any) -> Any:
    with precision_policy(mixed=False):
        model = build()
    model.set_weights(trained.get_weights())
    return model
