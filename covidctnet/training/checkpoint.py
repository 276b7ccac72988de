"""The state of a training on disk: whole at every moment, and never used for another training."""

import json
import logging
import os
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from covidctnet.training.history import History

_LOG = logging.getLogger(__name__)

Weights = list[NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a training stands.

    Attributes:
        epoch: finished epochs.
        batch: finished batches of the epoch that is under way.
        sums: sums over the cases of those batches, by name, and their number as `count`.
        history: values of the finished epochs.
        best_loss: lowest validation loss so far.
        best_epoch: finished epochs when it was reached.
        done: whether nothing is left to train.
    """

    epoch: int = 0
    batch: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    history: History = field(default_factory=dict)
    best_loss: float = float("inf")
    best_epoch: int = 0
    done: bool = False


class Checkpoint:
    """One file that holds a training's place and all its variables.

    Args:
        path: the file; its folder is made when first written.
        fingerprint: of all that the weights depend on. A file with another one is not used.
    """

    def __init__(self, path: Path, fingerprint: str) -> None:
        self.path, self.fingerprint = path, fingerprint

    def save(self, place: Place, variables: Sequence[Any], best: Weights | None) -> None:
        """Write the state beside and put it in place at once; a kill leaves the old or the new one."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        arrays = {f"variable{number}": np.asarray(value) for number, value in enumerate(variables)}
        arrays |= {f"best{number}": value for number, value in enumerate(best or [])}
        head = {"fingerprint": self.fingerprint, "place": asdict(place)}
        partial = self.path.with_suffix(".partial.npz")
        with partial.open("wb") as file:
            np.savez(file, allow_pickle=False, head=np.frombuffer(json.dumps(head).encode(), np.uint8), **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, self.path)

    def load(self, variables: Sequence[Any]) -> tuple[Place, Weights | None] | None:
        """Set the variables to what was saved.

        Returns:
            Where the training stands and its best weights; None where there is nothing to go on from.
        """
        try:
            with self.path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                head = json.loads(file["head"].tobytes())
                stored = {name: file[name] for name in file.files if name != "head"}
        except FileNotFoundError:
            return None
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
            _LOG.warning("the checkpoint %s cannot be read: the training starts anew", self.path.name)
            return None
        if head["fingerprint"] != self.fingerprint:
            _LOG.warning("the checkpoint %s is of another training: this one starts anew", self.path.name)
            return None
        for number, variable in enumerate(variables):
            variable.assign(stored[f"variable{number}"])
        best = [stored[f"best{number}"] for number in range(sum(name.startswith("best") for name in stored))]
        return replace(Place(), **head["place"]), best or None
