"""One fold -> a trained network and its answers for the patients it has not seen."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from covidctnet.bundle import Calibration
from covidctnet.config import Config
from covidctnet.evaluation.calibration import apply_temperature, fit_temperature, fit_threshold
from covidctnet.experiments.answers import FoldAnswers, make_outcomes
from covidctnet.experiments.clinical import ClinicalTable, fit_clinical_head
from covidctnet.experiments.folds import Fold
from covidctnet.labels import COVID
from covidctnet.networks.saving import export_classifier, load_classifier, load_clinical_classifier
from covidctnet.stages.extract_residuals import ResidualStacks
from covidctnet.stages.prepared import PreparedCase
from covidctnet.stages.train_classifier import LabelledResiduals
from covidctnet.stages.training_state import TrainingState
from covidctnet.training.classifier import train_classifier
from covidctnet.training.history import History

_SECTIONS = ("residual", "classifier")
_GAIN_RANGE = (1e-3, 1000.0)

Answer = Callable[[PreparedCase], NDArray[np.float32]]
"""A case -> its three probabilities, not calibrated."""

WITH_CLINICAL = "image, age and sex"


def train_fold(
    fold: Fold,
    stacks: ResidualStacks,
    state: TrainingState,
    *,
    arm: str,
    training: ResidualStacks | None = None,
    clinical: ClinicalTable | None = None,
) -> list[FoldAnswers]:
    """Train the 3D classifier on a fold and answer for its test patients through the written network.

    Every arm's input is scaled to unit spread of its own training stacks, so that arms differ in what they see and
    not in how large the numbers are (docs/adr/0023).

    Args:
        fold: who is what.
        stacks: of all its cases, as validation and test see them.
        state: goes on from an interrupted training; holds the configuration and its seed.
        arm: name of what is varied.
        training: stacks of the training cases where they differ; `stacks` when None.
        clinical: age and sex; adds the answers of the second signature as an arm of its own.

    Returns:
        The answers of the arm, and with `clinical` those of the same network with age and sex.

    Raises:
        TrainingError: a class is missing, or a loss is not finite.
    """
    train = LabelledResiduals.select(fold.train, training or stacks)
    validation = LabelledResiduals.select(fold.validation, stacks)
    config = with_unit_spread(state.config, train.stacks)
    state = replace(state, config=config)
    model, history = train_classifier(
        train.stacks,
        train.labels,
        validation.stacks,
        validation.labels,
        config,
        checkpoint=state.checkpoint(f"classifier {arm}", _SECTIONS, train.digest, validation.digest),
        on_epoch=state.on_epoch("classifier"),
    )
    parameters = int(model.count_params())
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "classifier"
        export_classifier(model, folder, config.residual.shape)
        classify = load_classifier(folder)

        def answer(case: PreparedCase) -> NDArray[np.float32]:
            return np.asarray(classify(np.asarray(stacks.stacks[case.case.case])[None, ..., None])[0])

        answered = answer_fold(fold, answer)
        found = [close_fold(fold, answered, arm=arm, seed=config.seed, parameters=parameters, history=history)]
        if clinical is not None:
            head = fit_clinical_head(
                answered[0], [case.label for case in fold.validation], clinical.inputs(fold.validation)
            )
            export_classifier(model, folder.with_name("with-clinical"), config.residual.shape, clinical=head)
            both = load_clinical_classifier(folder.with_name("with-clinical"))

            def answer_with(case: PreparedCase) -> NDArray[np.float32]:
                stack = np.asarray(stacks.stacks[case.case.case])[None, ..., None]
                return np.asarray(both(stack, clinical.inputs([case]))[0])

            answered = answer_fold(fold, answer_with)
            found.append(
                close_fold(
                    fold,
                    answered,
                    arm=WITH_CLINICAL,
                    seed=config.seed,
                    parameters=parameters + head.weights.size,
                    history=history,
                )
            )
    return found


def answer_fold(fold: Fold, answer: Answer) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Probabilities of validation and test, each (case, 3), not calibrated."""
    validation, test = (
        np.stack([answer(case) for case in cases]).astype(np.float64) for cases in (fold.validation, fold.test)
    )
    return validation, test


def close_fold(
    fold: Fold,
    answered: tuple[NDArray[np.float64], NDArray[np.float64]],
    *,
    arm: str,
    seed: int,
    parameters: int,
    history: History,
) -> FoldAnswers:
    """Calibrate on validation alone and put the answers together."""
    validation, test = answered
    fitted = calibrate_answers(validation, [case.label for case in fold.validation])
    return FoldAnswers(
        arm=arm,
        seed=seed,
        fold=fold.name,
        temperature=fitted.temperature,
        threshold=fitted.threshold,
        trained=len(fold.train),
        parameters=parameters,
        history=history,
        validation=make_outcomes(fold.validation, validation),
        test=make_outcomes(fold.test, test),
    )


def calibrate_answers(raw: NDArray[np.float64], labels: Sequence[int]) -> Calibration:
    """Temperature and threshold of answers (case, 3), as the training pipeline fits them."""
    temperature = fit_temperature(raw, labels)
    covid = apply_temperature(raw, temperature)[:, COVID]
    return Calibration(temperature=temperature, threshold=fit_threshold(covid, labels))


def with_unit_spread(config: Config, stacks: Sequence[NDArray[np.float32]] | NDArray[np.float32]) -> Config:
    """The configuration whose gain brings these stacks to a standard deviation of 1."""
    count = sum(stack.size for stack in stacks)
    mean = sum(float(np.sum(stack, dtype=np.float64)) for stack in stacks) / count
    square = sum(float(np.square(stack, dtype=np.float64).sum()) for stack in stacks) / count
    spread = max(square - mean * mean, 0.0) ** 0.5
    gain = float(np.clip(1.0 / max(spread, 1e-9), *_GAIN_RANGE))
    return replace(config, classifier=replace(config.classifier, input_gain=round(gain, 4)))
