"""Healthy slices -> a trained denoiser."""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from covidctnet.labels import CONTROL
from covidctnet.networks.saving import save_denoiser
from covidctnet.stages.prepared import PreparedCase, PreparedCohort
from covidctnet.stages.training_state import TrainingState
from covidctnet.training.checkpoint import Weights
from covidctnet.training.denoiser import train_denoiser
from covidctnet.training.history import History
from covidctnet.training.slices import MaskedSlices
from covidctnet.training.warm_start import pretrain_on_lungs

_MOST_WATCHED = 128
"""Slices whose loss is watched each epoch; more would take time and tell nothing more."""

_WARM_START = ("reader", "preprocess", "denoiser")
_DENOISER = (*_WARM_START, "noise", "start_from")


def train_and_save_denoiser(
    prepared: PreparedCohort,
    healthy: Sequence[Path],
    output: Path,
    state: TrainingState,
    *,
    start: Weights | None = None,
) -> dict[str, History]:
    """Train the denoiser on its own Controls.

    Args:
        prepared: all cases of the run.
        healthy: by shard, the folder of healthy slices and their masks.
        output: receives the denoiser as a bundle holds it.
        state: goes on from an interrupted training of the same kind.
        start: weights of the bundle that `config.start_from` names, where they fit; they know lungs already, so
            the warm start is left out.

    Returns:
        The losses by training: `denoiser`, and `warm start` where there was one.
    """
    config = state.config
    where = {path.name.removesuffix(".aerated.npy"): path.parent for path in _masks(healthy)}
    train = prepared.of("denoiser")
    watched = [case for case in prepared.of("validation") if case.label == CONTROL]
    inputs = _hashes(train), _hashes(watched)
    masked = functools.partial(_masked_slices, where)
    histories = {}
    if start is None and config.denoiser.warm_start_epochs and train and watched:
        start, histories["warm start"] = pretrain_on_lungs(
            masked(train, "lungs"),
            masked(watched, "lungs").thin(_MOST_WATCHED),
            config,
            checkpoint=state.checkpoint("warm start", _WARM_START, *inputs),
            on_epoch=state.on_epoch("warm start"),
        )
    model, histories["denoiser"] = train_denoiser(
        masked(train, "aerated"),
        masked(watched, "aerated").thin(_MOST_WATCHED),
        config,
        start=start,
        checkpoint=state.checkpoint("denoiser", _DENOISER, *inputs),
        on_epoch=state.on_epoch("denoiser"),
    )
    save_denoiser(model, output, config.residual)
    return histories


def _masks(folders: Sequence[Path]) -> list[Path]:
    return [path for folder in folders for path in folder.glob("*.aerated.npy")]


def _masked_slices(where: Mapping[str, Path], cases: Sequence[PreparedCase], mask: str) -> MaskedSlices:
    names = [case.case.case for case in cases]
    return MaskedSlices(
        [np.load(where[name] / f"{name}.npy", mmap_mode="r") for name in names],
        [np.load(where[name] / f"{name}.{mask}.npy", mmap_mode="r") for name in names],
    )


def _hashes(cases: Sequence[PreparedCase]) -> str:
    return " ".join(case.case.sha256 for case in cases)
