"""One fold of the patch-based baseline -> its answers for the patients it has not seen."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from covidctnet.experiments.answers import FoldAnswers
from covidctnet.experiments.folds import Fold
from covidctnet.experiments.train_fold import answer_fold, close_fold
from covidctnet.stages.prepared import PreparedCase
from covidctnet.stages.training_state import TrainingState
from covidctnet.training.patches import ANSWERED_PATCHES, CasePatches, PatchBatches, patch_side, train_patches
from covidctnet.training.pseudo_infection import find_lungs

PATCHES = "patches of lung"


def train_patch_fold(fold: Fold, slices: Mapping[str, Path], state: TrainingState) -> FoldAnswers:
    """Train the baseline on a fold; a patient's answer is the mean over patches spread through the lungs.

    Args:
        fold: who is what.
        slices: by case, the file of its preprocessed slices.
        state: goes on from an interrupted training; holds the configuration and its seed.
    """
    config = state.config

    def open_case(case: PreparedCase) -> CasePatches:
        array = np.load(slices[case.case.case])
        return CasePatches(array, find_lungs(array, config.preprocess))

    def batches(cases: Sequence[PreparedCase], *, fixed: bool) -> PatchBatches:
        labels = np.array([case.label for case in cases], np.int64)
        return PatchBatches([open_case(case) for case in cases], labels, seed=config.seed, fixed=fixed)

    train = batches(fold.train, fixed=False)
    hashes = [" ".join(case.case.sha256 for case in cases) for cases in (fold.train, fold.validation)]
    model, history = train_patches(
        train,
        batches(fold.validation, fixed=True),
        patch_side(config.preprocess.slice_size),
        config,
        checkpoint=state.checkpoint("patches", ("reader", "preprocess", "classifier"), *hashes),
        on_epoch=state.on_epoch("patches"),
    )

    def answer(case: PreparedCase) -> NDArray[np.float32]:
        patches = open_case(case).spread(ANSWERED_PATCHES)
        probabilities = np.asarray(model(patches[..., None], training=False), np.float32)
        return np.asarray(probabilities.mean(axis=0))

    return close_fold(
        fold,
        answer_fold(fold, answer),
        arm=PATCHES,
        seed=config.seed,
        parameters=int(model.count_params()),
        history=history,
    )
